// What a session asks of a traveller: the bytes of one message.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "lib/stringinfo.h"
#include "utils/tuplestore.h"
}

namespace strata::travellers {

enum class RequestKind : char {
  kQuery = 'q',     // one statement, with parameters
  kTable = 't',     // the rows of a table, as a row type of the session's moment has them
  kVersions = 'v',  // the versions of its rows, from one moment to another
};

// On whose behalf, at which moment, under which settings.
struct Orders {
  XLogRecPtr lsn;
  bool superuser;        // whether the role is one at the session's moment
  Oid role;              // the session's current role
  int security_context;  // SECURITY_* of the session
  const char* settings;  // as settings_to_carry() has them
  int settings_bytes;
  RequestKind kind;
};

struct Parameter {
  Oid type;
  bool null;
  bool as_text;
  const char* type_name;
  const char* text;  // as_text
  Datum value;       // not as_text
};

struct Query {
  const char* text;
  Tuplestorestate* rows;  // what it reads beside tables, to be ended after it; null: nothing
  int count;
  Parameter* parameters;
};

// A column that the session expects.
struct WantedColumn {
  const char* name;
  Oid type;
  const char* type_name;
};

struct Table {
  Oid oid;  // of the session's moment
  const char* schema;
  const char* name;
  int count;
  WantedColumn* columns;
  const char* condition;  // over the wanted columns; empty: all rows
};

// What becomes of the rows that stand in a table's file at the end of the window.
enum class Fate : char {
  kStands = 's',     // they are there
  kContinues = 'c',  // the table went on to another file, with the same row versions in it
  kEnds = 'e',       // they went with the file: DROP, TRUNCATE
  kRewritten = 'w',  // ALTER TABLE made other versions of them, in another file
};

// The part of a window in which a table had one file.
struct Versions {
  Oid rights_of;     // the relation through which the table is read, whose rights count; invalid: the table's own
  XLogRecPtr from;   // the window's begin
  XLogRecPtr begin;  // the end of the commit by which the table got the file; invalid: before the window
  bool rewritten;    // that one made other versions of rows
  Fate fate;
  XLogRecPtr end;         // of the commit by which the file's rows ended or were rewritten; else invalid
  TransactionId end_xid;  // its top-level transaction
  bool every_version;     // those, too, that a transaction itself replaced
  bool unchanged;         // those, too, that stood throughout
};

// The session's side. The orders are this process's own.
void put_orders(StringInfo out, XLogRecPtr lsn, RequestKind kind);
void put_query(StringInfo out, const char* text, int count, const Datum* values, const Oid* types, const bool* nulls);
void put_table(StringInfo out, const Table& table);
void put_versions(StringInfo out, const Versions& versions);

// The traveller's side, in the same order. Everything but parameters' values points into the message.
Orders take_orders(StringInfo in);
Query take_query(StringInfo in);
Table take_table(StringInfo in);
Versions take_versions(StringInfo in);

}  // namespace strata::travellers
