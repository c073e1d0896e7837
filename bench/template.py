"""The cluster that the others are copies of, and its base backup."""
from .cluster import SOCKETS, Cluster
from .settings import SIZES, STRATA, WORK
from .shell import pipe, run, say

BASE_BACKUP = WORK / "base.tar.zst"


class Template(Cluster):
    """pgbench's tables, and not yet any history. Made once, when first asked for."""

    def __init__(self):
        super().__init__("template")
        self.made = False
        self.base_backup_bytes = 0
        self.blocks = {}  # of each table

    def get(self):
        if not self.made:
            self._make()
            self.made = True
        return self

    def _make(self):
        say(f"template: pgbench -i -s {SIZES.scale}")
        self.create()
        with self.running():
            run(STRATA / "bin/pgbench", "-h", SOCKETS, "-U", "postgres", "-i", "-q", "-s", SIZES.scale, "postgres")
            self.rows("CREATE EXTENSION strata")
            self.rows("CREATE EXTENSION pg_prewarm")
            self.rows("CHECKPOINT")
            self.blocks = dict(self.rows(
                "SELECT relname, pg_relation_size(oid) / 8192 FROM pg_class WHERE relname LIKE 'pgbench%%'"))
            say("template: base backup, zstd -3")
            pipe('"$1" -h "$2" -U postgres -Ft -X none -c fast --no-manifest -D - | zstd -q -3 >"$3"',
                 STRATA / "bin/pg_basebackup", SOCKETS, BASE_BACKUP)
            self.base_backup_bytes = BASE_BACKUP.stat().st_size


template = Template()
