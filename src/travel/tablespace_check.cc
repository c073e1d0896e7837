// No tablespace is made whose OID stands for a moment of history.
extern "C" {
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_tablespace.h"
}

#include "travel/moment.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

object_access_hook_type previous_hook = nullptr;

void check_new_tablespace(ObjectAccessType access, Oid catalog, Oid object, int column, void* argument) {
  if (previous_hook != nullptr) previous_hook(access, catalog, object, column, argument);
  if (access != OAT_POST_CREATE || catalog != TableSpaceRelationId || !in_virtual_range(object)) return;
  ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                  errmsg("cannot create a tablespace with OID %u: it stands for a moment of history", object),
                  errdetail("OIDs of tablespaces from %u on are those of history while \"strata_enabled\" is on.",
                            kFirstVirtualTablespace),
                  errhint("Create the tablespace when OIDs have begun anew at 16384, or while \"strata_enabled\" is "
                          "off: what lies in it is safe then, but cannot be travelled to.")));
}

}  // namespace

void install_tablespace_check() {
  previous_hook = object_access_hook;
  object_access_hook = check_new_tablespace;
}

}  // namespace strata::travel
