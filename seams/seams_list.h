/*
 * Every seam, once: SEAM(result type, name, (parameters), (arguments)), SEAM_VOID(name, (parameters), (arguments)).
 * No include guard: each includer defines the macros. seams/symbols.txt must name the same functions.
 */

/* Storage: a virtual locator stands for a relation as it was at one LSN. */
SEAM(SMgrRelation, smgropen, (RelFileLocator rlocator, ProcNumber backend), (rlocator, backend))
SEAM(bool, mdexists, (SMgrRelation reln, ForkNumber forknum), (reln, forknum))
SEAM(bool, mdprefetch, (SMgrRelation reln, ForkNumber forknum, BlockNumber blocknum, int nblocks),
     (reln, forknum, blocknum, nblocks))
SEAM_VOID(mdreadv, (SMgrRelation reln, ForkNumber forknum, BlockNumber blocknum, void** buffers, BlockNumber nblocks),
          (reln, forknum, blocknum, buffers, nblocks))
SEAM_VOID(mdstartreadv,
          (PgAioHandle * ioh, SMgrRelation reln, ForkNumber forknum, BlockNumber blocknum, void** buffers,
           BlockNumber nblocks),
          (ioh, reln, forknum, blocknum, buffers, nblocks))
SEAM_VOID(mdwritev,
          (SMgrRelation reln, ForkNumber forknum, BlockNumber blocknum, const void** buffers, BlockNumber nblocks,
           bool skipFsync),
          (reln, forknum, blocknum, buffers, nblocks, skipFsync))
SEAM_VOID(mdwriteback, (SMgrRelation reln, ForkNumber forknum, BlockNumber blocknum, BlockNumber nblocks),
          (reln, forknum, blocknum, nblocks))
SEAM(BlockNumber, mdnblocks, (SMgrRelation reln, ForkNumber forknum), (reln, forknum))
SEAM_VOID(mdregistersync, (SMgrRelation reln, ForkNumber forknum), (reln, forknum))
SEAM_VOID(pgaio_io_perform_synchronously, (PgAioHandle * ioh), (ioh))

/* Buffers: entry points that open a relation's storage, the lookup that no present page may pass in the past, and the
   check of pages that were read. */
SEAM(PrefetchBufferResult, PrefetchBuffer, (Relation reln, ForkNumber forkNum, BlockNumber blockNum),
     (reln, forkNum, blockNum))
SEAM(Buffer, ReadBuffer, (Relation reln, BlockNumber blockNum), (reln, blockNum))
SEAM(Buffer, ReadBufferExtended,
     (Relation reln, ForkNumber forkNum, BlockNumber blockNum, ReadBufferMode mode, BufferAccessStrategy strategy),
     (reln, forkNum, blockNum, mode, strategy))
SEAM(Buffer, ReleaseAndReadBuffer, (Buffer buffer, Relation relation, BlockNumber blockNum),
     (buffer, relation, blockNum))
SEAM(BlockNumber, RelationGetNumberOfBlocksInFork, (Relation relation, ForkNumber forkNum), (relation, forkNum))
SEAM(int, BufTableLookup, (BufferTag * tagPtr, uint32 hashcode), (tagPtr, hashcode))
SEAM(bool, PageIsVerified, (PageData * page, BlockNumber blkno, int flags, bool* checksum_failure_p),
     (page, blkno, flags, checksum_failure_p))

/* Visibility. */
SEAM(Snapshot, GetSnapshotData, (Snapshot snapshot), (snapshot))
SEAM(bool, TransactionIdIsInProgress, (TransactionId xid), (xid))
SEAM(bool, XidInMVCCSnapshot, (TransactionId xid, Snapshot snapshot), (xid, snapshot))
SEAM(bool, ProcArrayInstallImportedXmin, (TransactionId xmin, VirtualTransactionId* sourcevxid), (xmin, sourcevxid))
SEAM(bool, ProcArrayInstallRestoredXmin, (TransactionId xmin, PGPROC* proc), (xmin, proc))
SEAM(bool, TransactionIdDidCommit, (TransactionId transactionId), (transactionId))
SEAM(bool, TransactionIdDidAbort, (TransactionId transactionId), (transactionId))
SEAM(XLogRecPtr, TransactionIdGetCommitLSN, (TransactionId xid), (xid))
SEAM(int, GetMultiXactIdMembers, (MultiXactId multi, MultiXactMember** members, bool from_pgupgrade, bool isLockOnly),
     (multi, members, from_pgupgrade, isLockOnly))
SEAM(bool, MultiXactIdIsRunning, (MultiXactId multi, bool isLockOnly), (multi, isLockOnly))
SEAM(MultiXactId, ReadNextMultiXactId, (void), ())
SEAM_VOID(ReadMultiXactIdRange, (MultiXactId * oldest, MultiXactId* next), (oldest, next))
SEAM(XLogRecPtr, GetXLogReplayRecPtr, (TimeLineID * replayTLI), (replayTLI))
SEAM(TimestampTz, GetLatestXTime, (void), ())

/* Catalogs, transactions, locks. */
SEAM(RelFileNumber, RelationMapOidToFilenumber, (Oid relationId, bool shared), (relationId, shared))
SEAM(Oid, RelationMapFilenumberToOid, (RelFileNumber filenumber, bool shared), (filenumber, shared))
SEAM_VOID(RelationMapInvalidate, (bool shared), (shared))
SEAM_VOID(RelationMapInvalidateAll, (void), ())
SEAM(HeapTuple, SearchSysCache1, (int cacheId, Datum key1), (cacheId, key1))
SEAM_VOID(pgstat_init_relation, (Relation rel), (rel))
SEAM(PgStat_StatTabEntry*, pgstat_fetch_stat_tabentry, (Oid relid), (relid))
SEAM(PgStat_StatTabEntry*, pgstat_fetch_stat_tabentry_ext, (bool shared, Oid reloid), (shared, reloid))
SEAM(PgStat_TableStatus*, find_tabstat_entry, (Oid rel_id), (rel_id))
SEAM(PgStat_StatFuncEntry*, pgstat_fetch_stat_funcentry, (Oid func_id), (func_id))
SEAM(PgStat_FunctionCounts*, find_funcstat_entry, (Oid func_id), (func_id))
SEAM_VOID(pgstat_init_function_usage, (FunctionCallInfo fcinfo, PgStat_FunctionCallUsage* fcu), (fcinfo, fcu))
SEAM(bool, isTempOrTempToastNamespace, (Oid namespaceId), (namespaceId))
SEAM(bool, RecoveryInProgress, (void), ())
SEAM(bool, XLogInsertAllowed, (void), ())
SEAM_VOID(StartTransactionCommand, (void), ())
SEAM_VOID(BeginReportingGUCOptions, (void), ())
SEAM_VOID(ReportChangedGUCOptions, (void), ())
SEAM(const char*, show_in_hot_standby, (void), ())
SEAM(bool, CountOtherDBBackends, (Oid databaseId, int* nbackends, int* nprepared), (databaseId, nbackends, nprepared))
SEAM_VOID(TerminateOtherDBBackends, (Oid databaseId), (databaseId))
SEAM_VOID(PrepareTempTablespaces, (void), ())
SEAM(LockAcquireResult, LockAcquire, (const LOCKTAG* locktag, LOCKMODE lockmode, bool sessionLock, bool dontWait),
     (locktag, lockmode, sessionLock, dontWait))
SEAM(LockAcquireResult, LockAcquireExtended,
     (const LOCKTAG* locktag, LOCKMODE lockmode, bool sessionLock, bool dontWait, bool reportMemoryError,
      LOCALLOCK** locallockp, bool logLockFailure),
     (locktag, lockmode, sessionLock, dontWait, reportMemoryError, locallockp, logLockFailure))
SEAM(bool, LockRelease, (const LOCKTAG* locktag, LOCKMODE lockmode, bool sessionLock), (locktag, lockmode, sessionLock))
SEAM(bool, LockHeldByMe, (const LOCKTAG* locktag, LOCKMODE lockmode, bool orstronger), (locktag, lockmode, orstronger))

/* What others see of the session. */
SEAM_VOID(pgstat_report_activity, (BackendState state, const char* cmd_str), (state, cmd_str))

/* InitPostgres: which database the session is connected to, and what it reads of its directory. */
SEAM_VOID(SetConfigOption, (const char* name, const char* value, GucContext context, GucSource source),
          (name, value, context, source))
SEAM_VOID(pgstat_bestart_security, (void), ())
SEAM_VOID(pgstat_bestart_final, (void), ())
SEAM_VOID(InitializeSessionUserId, (const char* rolename, Oid roleid, bool bypass_login_check),
          (rolename, roleid, bypass_login_check))
SEAM_VOID(InvalidateCatalogSnapshot, (void), ())
SEAM_VOID(ValidatePgVersion, (const char* path), (path))
SEAM_VOID(SetDatabasePath, (const char* path), (path))
SEAM_VOID(RelationMapInitializePhase3, (void), ())
SEAM_VOID(InitCatalogCachePhase2, (void), ())
SEAM(int, CountDBConnections, (Oid databaseid), (databaseid))
SEAM_VOID(ApplySetting, (Snapshot snapshot, Oid databaseid, Oid roleid, Relation relsetting, GucSource source),
          (snapshot, databaseid, roleid, relsetting, source))
SEAM(PgStat_EntryRef*, pgstat_prep_pending_entry, (PgStat_Kind kind, Oid dboid, uint64 objid, bool* created_entry),
     (kind, dboid, objid, created_entry))
SEAM_VOID(pgstat_prepare_report_checksum_failure, (Oid dboid), (dboid))

/* Rights. */
SEAM_VOID(aclcheck_error, (AclResult aclerr, ObjectType objtype, const char* objectname), (aclerr, objtype, objectname))
SEAM(bool, superuser, (void), ())
SEAM(bool, superuser_arg, (Oid roleid), (roleid))
SEAM(bool, has_privs_of_role, (Oid member, Oid role), (member, role))
SEAM(void*, load_external_function,
     (const char* filename, const char* funcname, bool signalNotFound, void** filehandle),
     (filename, funcname, signalNotFound, filehandle))
SEAM(AclResult, pg_parameter_aclcheck, (const char* name, Oid roleid, AclMode mode), (name, roleid, mode))
SEAM(bool, check_role, (char** newval, void** extra, GucSource source), (newval, extra, source))
SEAM(bool, check_session_authorization, (char** newval, void** extra, GucSource source), (newval, extra, source))

/* Redo of one page, outside recovery. */
SEAM(XLogRedoAction, XLogReadBufferForRedo, (XLogReaderState * record, uint8 block_id, Buffer* buf),
     (record, block_id, buf))
SEAM(XLogRedoAction, XLogReadBufferForRedoExtended,
     (XLogReaderState * record, uint8 block_id, ReadBufferMode mode, bool get_cleanup_lock, Buffer* buf),
     (record, block_id, mode, get_cleanup_lock, buf))
SEAM(Buffer, XLogInitBufferForRedo, (XLogReaderState * record, uint8 block_id), (record, block_id))
SEAM_VOID(visibilitymap_pin, (Relation rel, BlockNumber heapBlk, Buffer* vmbuf), (rel, heapBlk, vmbuf))
SEAM(bool, visibilitymap_clear, (Relation rel, BlockNumber heapBlk, Buffer vmbuf, uint8 flags),
     (rel, heapBlk, vmbuf, flags))
SEAM_VOID(XLogRecordPageWithFreeSpace, (RelFileLocator rlocator, BlockNumber heapBlk, Size spaceAvail),
          (rlocator, heapBlk, spaceAvail))
SEAM_VOID(FlushOneBuffer, (Buffer buffer), (buffer))
SEAM_VOID(ProcessCommittedInvalidationMessages,
          (SharedInvalidationMessage * msgs, int nmsgs, bool RelcacheInitFileInval, Oid dbid, Oid tsid),
          (msgs, nmsgs, RelcacheInitFileInval, dbid, tsid))
SEAM(bool, errstart, (int elevel, const char* domain), (elevel, domain))
SEAM(bool, errstart_cold, (int elevel, const char* domain), (elevel, domain))
SEAM_VOID(errfinish, (const char* filename, int lineno, const char* funcname), (filename, lineno, funcname))

/* What is not in the cluster's pages: the free space map, which is not kept, and what foreign tables show. */
SEAM(Size, GetRecordedFreeSpace, (Relation rel, BlockNumber heapBlk), (rel, heapBlk))
SEAM(ForeignScanState*, ExecInitForeignScan, (ForeignScan * node, EState* estate, int eflags), (node, estate, eflags))

/* SQL functions that read files instead of pages. */
SEAM(Datum, pg_relation_size, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_table_size, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_indexes_size, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_total_relation_size, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_database_size_oid, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_database_size_name, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_tablespace_size_oid, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_tablespace_size_name, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_tablespace_location, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_get_multixact_members, (PG_FUNCTION_ARGS), (fcinfo))

/* SQL functions that answer as recovery that stands still at the moment. */
SEAM(Datum, pg_is_wal_replay_paused, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_get_wal_replay_pause_state, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_last_wal_receive_lsn, (PG_FUNCTION_ARGS), (fcinfo))
SEAM(Datum, pg_prepared_xact, (PG_FUNCTION_ARGS), (fcinfo))

#define REFUSED_FUNCTION(name) SEAM(Datum, name, (PG_FUNCTION_ARGS), (fcinfo))
#include "refused_functions.h"
#undef REFUSED_FUNCTION

#define SERVER_FUNCTION(name) SEAM(Datum, name, (PG_FUNCTION_ARGS), (fcinfo))
#include "server_functions.h"
#undef SERVER_FUNCTION

/* Places for background workers. */
SEAM(bool, RegisterDynamicBackgroundWorker, (BackgroundWorker * worker, BackgroundWorkerHandle** handle),
     (worker, handle))
