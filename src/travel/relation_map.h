// Relation maps (pg_filenode.map) as they were: which file a mapped catalog lay in.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "common/relpath.h"
}

namespace strata::travel {

// The relfilenumber of a mapped catalog at an LSN, or InvalidRelFileNumber if the map does not name it. For catalogs
// that are not shared: of the database that the session is connected to, in `tablespace` (ignored for shared ones).
RelFileNumber mapped_filenumber_at(Oid relation, bool shared, XLogRecPtr at, Oid tablespace = InvalidOid);

}  // namespace strata::travel
