// How values cross from one moment to another.
//
// A value of a type that is the same at all moments crosses as it is in memory. Every other one crosses as text beside
// its type's name: the type may be gone at the other end, or be another one.
#pragma once

extern "C" {
#include "postgres.h"
}

namespace strata::travellers {

// A type that belongs to PostgreSQL itself, with values that mean the same at every moment: no composite, no enum, no
// domain, no reference to an object by OID (regclass and its like), and no array of these.
bool crosses_as_it_is(Oid type);

// The type's name with its schema, as SQL text.
char* name_of_type(Oid type);

// The type of that name, preferred by OID where the one with this OID has the name still; InvalidOid where there is
// none.
Oid find_type(Oid oid, const char* name);

// Printed by the type's output function.
char* print_value(Oid type, Datum value);

}  // namespace strata::travellers
