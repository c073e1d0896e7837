// Rights of a travelling session. To whatever is in the cluster the rights of the moment apply: PostgreSQL's own
// functions are asked for them, by aclchk.c, acl.c and rowsecurity.c, whose calls do not come here. What the others ask
// is about the server, which does not travel. To see what it shows takes the right then and now; power over it, its
// files, programs and other sessions, takes a superuser of both, who has left the present as one. No role that could be
// assumed then comes back to the present.
extern "C" {
#include "seams_includes.h"

#include "access/parallel.h"
#include "catalog/pg_authid_d.h"
#include "libpq/libpq-be.h"
#include "utils/lsyscache.h"

#include "seams.h"
}

#include <cstring>

#include "travel/present_roles.h"
#include "travel/rights.h"
#include "travel/session.h"

namespace strata::travel {

bool superuser_then_and_now(Oid role) {
  if (!current_moment().superuser || !strata_real_superuser_arg(role)) return false;
  // The leader has been allowed what the worker only repeats.
  return InitializingParallelWorker || (session_is_superuser_now() && superuser_now(role));
}

namespace {

bool current_user_is_superuser() { return superuser_then_and_now(GetUserId()); }

enum class About { kData, kWhatTheServerShows, kPowerOverServer };

About what_role_is_about(Oid role) {
  switch (role) {
    case ROLE_PG_DATABASE_OWNER:
    case ROLE_PG_READ_ALL_DATA:
    case ROLE_PG_WRITE_ALL_DATA:
    case ROLE_PG_STAT_SCAN_TABLES:
      return About::kData;
    case BOOTSTRAP_SUPERUSERID:
    case ROLE_PG_MONITOR:
    case ROLE_PG_READ_ALL_SETTINGS:
    case ROLE_PG_READ_ALL_STATS:
      return About::kWhatTheServerShows;
    default:
      return role < FirstNormalObjectId ? About::kPowerOverServer : About::kWhatTheServerShows;
  }
}

bool has_privileges_of_role(Oid member, Oid role) {
  const About about = what_role_is_about(role);
  if (about == About::kPowerOverServer) return superuser_then_and_now(member);
  return strata_real_has_privs_of_role(member, role) && (about == About::kData || has_privileges_now(member, role));
}

// A role that is not in the catalogs of then has no rights to anything there, and should be told that.
void check_acl_error(AclResult result, ObjectType type, const char* name) {
  const Oid role = GetUserId();
  if (result == ACLCHECK_NO_PRIV && !SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role))) {
    const char* role_name = role == GetSessionUserId() && MyProcPort != nullptr ? MyProcPort->user_name : nullptr;
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    role_name != nullptr
                        ? errmsg("role \"%s\" did not exist at the moment that the session travels to", role_name)
                        : errmsg("the role with OID %u did not exist at the moment that the session travels to", role),
                    explain_travel()));
  }
  strata_real_aclcheck_error(result, type, name);
}

// The leader of a parallel worker has been allowed what the worker only repeats.
AclResult parameter_aclcheck(const char*, Oid role, AclMode) {
  return InitializingParallelWorker || superuser_then_and_now(role) ? ACLCHECK_OK : ACLCHECK_NO_PRIV;
}

bool may_change_role(const char* role) {
  if (InitializingParallelWorker || std::strcmp(role, "none") == 0 || session_is_superuser_now()) return true;
  GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
  GUC_check_errmsg("only a superuser may change its role while travelling in time");
  GUC_check_errdetail("The session sees the cluster as of %s.", describe_current_moment());
  GUC_check_errhint("Set the role before the moment.");
  return false;
}

bool check_new_role(char** value, void** extra, GucSource source) {
  return may_change_role(*value) && strata_real_check_role(value, extra, source);
}

bool check_new_session_authorization(char** value, void** extra, GucSource source) {
  return may_change_role(*value != nullptr ? *value : "none") &&
         strata_real_check_session_authorization(value, extra, source);
}

template <Datum (*function)(FunctionCallInfo)>
Datum for_superusers(FunctionCallInfo fcinfo) {
  if (!current_user_is_superuser()) {
    const char* name = fcinfo->flinfo != nullptr ? get_func_name(fcinfo->flinfo->fn_oid) : nullptr;
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("only a superuser may execute %s() while travelling in time",
                           name != nullptr ? name : "this function"),
                    explain_travel()));
  }
  return function(fcinfo);
}

}  // namespace

void install_rights_seams(bool travel) {
  strata_seams.aclcheck_error = travel ? check_acl_error : nullptr;
  strata_seams.superuser = travel ? current_user_is_superuser : nullptr;
  strata_seams.superuser_arg = travel ? superuser_then_and_now : nullptr;
  strata_seams.has_privs_of_role = travel ? has_privileges_of_role : nullptr;
  strata_seams.pg_parameter_aclcheck = travel ? parameter_aclcheck : nullptr;
  strata_seams.check_role = travel ? check_new_role : nullptr;
  strata_seams.check_session_authorization = travel ? check_new_session_authorization : nullptr;
#define SERVER_FUNCTION(name) strata_seams.name = travel ? for_superusers<strata_real_##name> : nullptr;
#include "server_functions.h"
#undef SERVER_FUNCTION
}

}  // namespace strata::travel
