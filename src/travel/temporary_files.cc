// Temporary files of queries in the past. PostgreSQL puts them beside the session's database, in a tablespace that may
// have been dropped since, or into those of temp_tablespaces, which it looks up in the catalogs of then.
extern "C" {
#include "seams_includes.h"

#include "catalog/pg_tablespace_d.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "seams.h"
}

#include "travel/moment.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

void prepare_temp_tablespaces() {
  if (MyDatabaseTableSpace == DEFAULTTABLESPACE_OID || tablespace_exists(MyDatabaseTableSpace)) {
    strata_real_PrepareTempTablespaces();
    return;
  }
  if (TempTablespacesAreSet()) return;
  static Oid the_default[1] = {DEFAULTTABLESPACE_OID};
  SetTempTablespaces(the_default, 1);
}

}  // namespace

void install_temporary_file_seams(bool travel) {
  strata_seams.PrepareTempTablespaces = travel ? prepare_temp_tablespaces : nullptr;
}

}  // namespace strata::travel
