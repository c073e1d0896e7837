#include "redo/redo_rebuilder.h"

#include <cstring>

#include "pg/guard.h"
#include "pg/redo_faults.h"
#include "redo/redo.h"

namespace strata::redo {

static_assert(kPageBytes == BLCKSZ);

namespace {

// What says nothing about the page's history.
bool is_about_the_process(int sqlstate) {
  switch (ERRCODE_TO_CATEGORY(sqlstate)) {
    case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
    case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
      return true;
    default:
      return false;
  }
}

}  // namespace

void RedoRebuilder::begin(const Key& key) {
  // No more records can be told from others that end this process: the work in hand stays undone.
  if (pg::redo_faults_are_full()) {
    throw StoreError(ErrorKind::kInvalid, "redo of too many records has ended a process, pages are not rebuilt here");
  }
  key_ = key;
  if (bytes_ == nullptr) pg::caught([&] { bytes_ = page_.data(); });
  std::memset(bytes_, 0, BLCKSZ);
}

void RedoRebuilder::apply(const Version& version) {
  try {
    pg::caught([&] {
      if (key_.kind == KeyKind::kCommitLog) {
        apply_to_commit_log_page(key_, version, bytes_);
      } else {
        apply_to_page(key_, version, page_);
      }
    });
  } catch (const pg::PgError& error) {
    if (is_about_the_process(error.sqlstate())) throw;
    throw StoreError(ErrorKind::kCorrupt, error.what());
  }
}

}  // namespace strata::redo
