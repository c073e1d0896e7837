"""What history weighs on disk, and what is written for it."""
from concurrent.futures import ThreadPoolExecutor

from .figures import Figure, number
from .history import history
from .settings import SIZES
from .shell import pipe, wait_until
from .template import template

SEGMENT_BYTES = 16 * 1024 * 1024


def _segment_name(number_):
    return f"00000001{number_ // 256:08X}{number_ % 256:08X}"


def _lsn_number(lsn):
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def _compressed_share_of_wal(begin, end):
    """Bytes that zstd -3 leaves of each byte of WAL, over the whole segments between two LSNs."""
    first = -(-_lsn_number(begin) // SEGMENT_BYTES)
    segments = [history.archive / _segment_name(n) for n in range(first, _lsn_number(end) // SEGMENT_BYTES)]
    if not segments:
        raise RuntimeError("the history does not fill one WAL segment; load more")
    wait_until("WAL is archived", segments[-1].exists, 300)
    with ThreadPoolExecutor(2) as pool:
        sizes = pool.map(lambda path: int(pipe('zstd -q -3 -c "$1" | wc -c', path)), segments)
        return sum(sizes) / (len(segments) * SEGMENT_BYTES)


def measure():
    history.complete()
    with history.running():
        history.settle()
        # What lies in the memtable is not on disk, so its WAL does not count either.
        begin, end = history.horizon, history.value("SELECT max(lsn_end) FROM strata.layers() WHERE NOT image")
        layer_bytes = int(history.value("SELECT sum(bytes) FROM strata.layers()"))
        levels = dict(history.rows(
            "SELECT 'level ' || level, sum(bytes)::bigint FROM strata.layers() WHERE NOT image GROUP BY 1"))
        history.note_io()
        all_wal = history.wal_bytes(begin, history.value("SELECT ingested_lsn FROM strata.status()"))
        wal = history.wal_bytes(begin, end)
        share = _compressed_share_of_wal(begin, end)
    backup = template.get().base_backup_bytes
    kept = layer_bytes - history.baseline_bytes
    by_level = ", ".join(f"{level} {number(bytes_ / 1e6)} MB" for level, bytes_ in sorted(levels.items()))
    figures = [
        Figure(f"bytes of history after compaction, baseline left out (TPC-B scale {SIZES.scale}, "
               f"a checkpoint every 30 s, {history.loaded_seconds} s)", "the same WAL, zstd -3",
               kept / (wal * share), "", "<= 0.35",
               f"{number(kept / 1e6)} MB of {number(wal / 1e6)} MB of WAL, of which zstd leaves "
               f"{number(100 * share)} %; {by_level}"),
        Figure("bytes of the baseline", "pg_basebackup of the same cluster, zstd -3",
               history.baseline_bytes / backup, "", "<= 1.05",
               f"{number(history.baseline_bytes / 1e6)} MB, {number(backup / 1e6)} MB"),
        Figure("bytes written by flush and compaction together, same run", "bytes of WAL",
               history.written_bytes / all_wal, "", "<= 0.15",
               f"{number(history.written_bytes / 1e6)} MB written, {number(all_wal / 1e6)} MB of WAL"),
    ]
    raw = {"history_bytes": kept, "wal_bytes": wal, "zstd_share": share, "levels": levels, "all_wal_bytes": all_wal,
           "written_bytes": history.written_bytes, "baseline_bytes": history.baseline_bytes, "backup_bytes": backup}
    return figures, raw
