/*
 * The functions that stand at the seams: each runs strata's replacement where this process has one, else PostgreSQL's
 * own. Also the one setting that the server itself must know, strata_enabled, and the loading of strata.so.
 */
#include "seams_includes.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "seams.h"

StrataSeams strata_seams;
bool strata_enabled = false;
int strata_reserved_workers = 0;
int strata_registered_workers = 0;

/* What bgworker.c, pmchild.c, proc.c and postinit.c use instead of max_worker_processes. */
extern PGDLLIMPORT int strata_worker_slots;
int strata_worker_slots = 0;

#define SEAM(ret, name, params, args)                                       \
  ret name params;                                                          \
  ret name params {                                                         \
    if (unlikely(strata_seams.name != NULL)) return strata_seams.name args; \
    return strata_real_##name args;                                         \
  }
#define SEAM_VOID(name, params, args)        \
  void name params;                          \
  void name params {                         \
    if (unlikely(strata_seams.name != NULL)) \
      strata_seams.name args;                \
    else                                     \
      strata_real_##name args;               \
  }
#include "seams_list.h"

extern void strata_real_InitializeGUCOptions(void);
extern void strata_real_process_shared_preload_libraries(void);
extern void strata_real_InitializeMaxBackends(void);
extern void strata_real_RegisterBackgroundWorker(BackgroundWorker* worker);

/* A name that is nearly right must not be taken in silence for one that nobody knows. */
static bool refuse_dotted_name(char** value, void** extra, GucSource source) {
  (void)value;
  (void)extra;
  if (source == PGC_S_DEFAULT) return true;
  GUC_check_errmsg("unrecognized configuration parameter \"strata.enabled\"");
  GUC_check_errhint("The parameter is named strata_enabled.");
  return false;
}

/* Defines strata_enabled among PostgreSQL's own settings: its name has no dot, so it must be there before the file is
 * read. */
void InitializeGUCOptions(void) {
  static char* dotted_name;
  bool in_preload = process_shared_preload_libraries_in_progress;

  strata_real_InitializeGUCOptions();

  /* Only while libraries are preloaded may a setting that needs a restart be defined. */
  process_shared_preload_libraries_in_progress = true;
  DefineCustomBoolVariable("strata_enabled", "Keeps the history of the cluster and allows travel to any moment in it.",
                           NULL, &strata_enabled, false, PGC_POSTMASTER, 0, NULL, NULL, NULL);
  DefineCustomStringVariable("strata.enabled", "Not a setting: strata_enabled is.", NULL, &dotted_name, "", PGC_USERSET,
                             GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, refuse_dotted_name, NULL, NULL);
  process_shared_preload_libraries_in_progress = in_preload;
}

/* Without history there is no travel: to ignore the wish would show the present as the past. */
static bool refuse_travel(char** value, void** extra, GucSource source) {
  (void)extra;
  (void)source;
  if ((*value)[0] == '\0') return true;
  GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
  GUC_check_errmsg("cannot travel in time: strata is not enabled");
  GUC_check_errhint("Set strata_enabled = on in postgresql.conf and restart the server; history begins then.");
  return false;
}

static void define_refused_setting(const char* name, char** variable) {
  DefineCustomStringVariable(name, "Travel in time; strata is not enabled.", NULL, variable, "", PGC_USERSET, 0,
                             refuse_travel, NULL, NULL);
}

/* strata.so is the first of the preloaded libraries. */
void process_shared_preload_libraries(void) {
  static char* travel_time;
  static char* travel_lsn;

  if (strata_enabled) {
    process_shared_preload_libraries_in_progress = true;
    load_file("$libdir/strata", false);
    process_shared_preload_libraries_in_progress = false;
  } else {
    define_refused_setting("strata.travel_time", &travel_time);
    define_refused_setting("strata.travel_lsn", &travel_lsn);
  }
  strata_real_process_shared_preload_libraries();
}

/* The postmaster's own workers keep within max_worker_processes. */
void RegisterBackgroundWorker(BackgroundWorker* worker) {
  if (MaxBackends == 0) {
    strata_worker_slots = max_worker_processes;
    if (worker->bgw_restart_time != BGW_NEVER_RESTART) strata_registered_workers++;
  }
  strata_real_RegisterBackgroundWorker(worker);
}

/* Settings are read and libraries are loaded: from here on the number of places stands. */
void InitializeMaxBackends(void) {
  strata_worker_slots = max_worker_processes + strata_reserved_workers;
  strata_real_InitializeMaxBackends();
}
