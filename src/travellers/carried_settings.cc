#include "travellers/carried_settings.h"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc.h"
}

#include <cstring>

#include "travel/settings.h"

namespace strata::travellers {

namespace {

struct Roles {
  Oid session_user;
  bool session_user_is_superuser;
  Oid role;  // of SET ROLE; InvalidOid: none
  bool role_is_superuser;
};

// Both of PostgreSQL's serializers want aligned memory of their own.
void put_block(StringInfo out, Size estimate, void (*serialize)(Size, char*)) {
  char* block = static_cast<char*>(palloc0(estimate));
  serialize(estimate, block);
  pq_sendint32(out, static_cast<uint32>(estimate));
  appendBinaryStringInfo(out, block, static_cast<int>(estimate));
  pfree(block);
}

char* take_block(StringInfo in) {
  const int bytes = static_cast<int>(pq_getmsgint(in, 4));
  char* block = static_cast<char*>(palloc(static_cast<Size>(bytes)));
  pq_copymsgbytes(in, block, bytes);
  return block;
}

// A setting of the session's own that would be in the way here.
void override_settings() {
  // The session's own timeout ends the call; this one would end the process.
  SetConfigOption("transaction_timeout", "0", PGC_USERSET, PGC_S_SESSION);
  // Messages go to the session, which converts them for its client.
  SetClientEncoding(GetDatabaseEncoding());
}

}  // namespace

void put_settings(StringInfo out) {
  Roles roles = {};
  roles.session_user = GetSessionUserId();
  roles.session_user_is_superuser = GetSessionUserIsSuperuser();
  roles.role = GetCurrentRoleId();
  roles.role_is_superuser = current_role_is_superuser;
  pq_sendint32(out, roles.session_user);
  pq_sendbyte(out, roles.session_user_is_superuser ? 1 : 0);
  pq_sendint32(out, roles.role);
  pq_sendbyte(out, roles.role_is_superuser ? 1 : 0);
  put_block(out, EstimateLibraryStateSpace(), SerializeLibraryState);
  put_block(out, EstimateGUCStateSpace(), [](Size bytes, char* block) { SerializeGUCState(bytes, block); });
}

void adopt_settings(const char* settings, int bytes) {
  StringInfoData in;
  initReadOnlyStringInfo(&in, const_cast<char*>(settings), bytes);
  Roles roles = {};
  roles.session_user = pq_getmsgint(&in, 4);
  roles.session_user_is_superuser = pq_getmsgbyte(&in) != 0;
  roles.role = pq_getmsgint(&in, 4);
  roles.role_is_superuser = pq_getmsgbyte(&in) != 0;
  char* libraries = take_block(&in);
  char* values = take_block(&in);

  StartTransactionCommand();
  RestoreLibraryState(libraries);
  SetSessionAuthorization(roles.session_user, roles.session_user_is_superuser);
  SetCurrentRoleId(roles.role, roles.role_is_superuser);
  // As in a parallel worker: what the session was allowed is not asked again.
  InitializingParallelWorker = true;
  PG_TRY();
  { RestoreGUCState(values); }
  PG_FINALLY();
  { InitializingParallelWorker = false; }
  PG_END_TRY();
  override_settings();
  CommitTransactionCommand();
}

}  // namespace strata::travellers
