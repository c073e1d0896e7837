// Where strata.so begins: loaded by the postmaster when strata_enabled is on, before every other library.
extern "C" {
#include "seams_includes.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "seams.h"

PG_MODULE_MAGIC_EXT(.name = "strata", .version = "1.0");

PGDLLEXPORT void _PG_init(void);
}

#include "pg/activity.h"
#include "pg/belonging.h"
#include "pg/redo_faults.h"
#include "pg/shared_state.h"
#include "pg/statistics.h"
#include "sql/explain.h"
#include "travel/database_hold.h"
#include "travel/moment.h"
#include "travel/session.h"
#include "travel/settings.h"
#include "travel/lsn_lease.h"
#include "travellers/channel.h"
#include "travellers/past_scan.h"
#include "travellers/places.h"
#include "travellers/settings.h"
#include "workers/compaction_worker.h"
#include "workers/first_start.h"
#include "workers/flush_worker.h"
#include "workers/ingest_worker.h"
#include "workers/retention.h"
#include "workers/wal_lag.h"

void _PG_init(void) {
  // A session that loads the library by itself (CREATE EXTENSION with strata_enabled = off) gets the SQL functions,
  // which then say that strata is off.
  if (!process_shared_preload_libraries_in_progress || !strata_enabled) return;
  strata::travellers::define_settings();
  strata::travellers::install_places();
  strata::travellers::register_channels();
  strata::travellers::install_past_scan();
  strata::pg::define_shared_settings();
  strata::pg::register_shared_state();
  strata::pg::register_belonging();
  strata::pg::register_activity();
  strata::pg::register_redo_faults();
  strata::travel::register_moment_table();
  strata::travel::register_lsn_leases();
  strata::travel::register_database_holds();
  strata::pg::register_statistics();
  strata::travel::define_travel_settings();
  strata::travel::install_session_hooks();
  strata::sql::install_explain_option();
  strata::workers::define_compaction_settings();
  strata::workers::define_retention_settings();
  strata::workers::define_wal_lag_settings();
  // Where the server has not enough places, history needs the first one most.
  strata::workers::register_ingest_worker();
  strata::workers::register_compaction_worker();
  strata::workers::register_flush_worker();
  strata::workers::install_first_start_hook();
  MarkGUCPrefixReserved("strata");
}
