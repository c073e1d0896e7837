# Row versions against an independent witness: triggers that log every change, over a random load with aborts,
# subtransactions, row locks, vacuums, rewrites, a crash and a prepared transaction.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $seed = $ENV{VERSIONS_SEED} // int(rand(2**31));
note("VERSIONS_SEED=$seed");
my $rounds = $ENV{VERSIONS_ROUNDS} // 4;
my $transactions = $ENV{VERSIONS_TRANSACTIONS} // 150;

my $node = new_node('versions_witness', track_commit_timestamp => 'on');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE item (id int PRIMARY KEY, v int, t text);
ALTER TABLE item ALTER t SET STORAGE EXTERNAL;
CREATE INDEX ON item (v);
CREATE TABLE witness (n bigint GENERATED ALWAYS AS IDENTITY, operation text, xid xid8, id int, v int, t text);
CREATE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r item := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  INSERT INTO witness (operation, xid, id, v, t) VALUES (left(TG_OP, 1), pg_current_xact_id(), r.id, r.v, r.t);
  RETURN NULL;
END $$;
CREATE TRIGGER log_change AFTER INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION log_change();
INSERT INTO item SELECT i, i, repeat('s', CASE WHEN i % 5 = 0 THEN 3000 ELSE 10 END) FROM generate_series(1, 60) i;
SQL
my $from = lsn_in($node);
$node->safe_psql('postgres', 'TRUNCATE witness');

my $script = $node->basedir . '/load.sql';
append_to_file($script, <<'SQL');
\set a random(1, 80)
\set b random(1, 80)
\set v random(1, 1000)
\set what random(1, 8)
\set long random(0, 6)
\set end random(1, 5)
BEGIN;
SELECT id FROM item WHERE id = :b FOR KEY SHARE;
\if :what < 4
UPDATE item SET v = :v, t = repeat(chr(97 + :v % 26), CASE WHEN :long = 0 THEN 4000 ELSE 8 END) WHERE id = :a;
\elif :what = 4
DELETE FROM item WHERE id = :a;
\elif :what = 5
SAVEPOINT s;
UPDATE item SET v = -:v WHERE id = :a;
ROLLBACK TO s;
UPDATE item SET v = :v + 1 WHERE id = :a;
SAVEPOINT s2;
UPDATE item SET v = :v + 2 WHERE id = :a;
RELEASE s2;
\else
INSERT INTO item VALUES (:a, :v, 'inserted') ON CONFLICT (id) DO UPDATE SET v = excluded.v, t = item.t;
\endif
\if :what = 8
DELETE FROM item WHERE id = :a;
INSERT INTO item VALUES (:a, 0, 'anew');
\endif
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
SQL

# What DBAs do meanwhile.
my @between = (
	'VACUUM item',
	'VACUUM (FREEZE) item',
	'VACUUM FULL item',
	'CLUSTER item USING item_pkey',
	'CHECKPOINT',
	'VACUUM FULL pg_class',
	'ALTER TABLE item ADD extra int; ALTER TABLE item DROP extra',
	"BEGIN; UPDATE item SET v = v + 1 WHERE id < 4; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'",
	"BEGIN; DELETE FROM item WHERE id < 4; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'",
	'BEGIN; UPDATE item SET v = 0; ROLLBACK',
);
srand($seed);
for my $round (1 .. $rounds)
{
	$node->command_ok([ 'pgbench', '-n', '-c', 4, '-t', $transactions, '--max-tries', 50, '--random-seed', $seed + $round, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ], "round $round");
	$node->safe_psql('postgres', $_) for map { $between[ int(rand(@between)) ] } 1 .. 3;
	if ($round == int($rounds / 2))
	{
		$node->stop('immediate');
		$node->start;
	}
}

# Every change that the witness has seen, once, and no other; in full, and as each transaction left its rows.
my $columns = 'operation, xid, id, v, md5(t) AS t';
my $seen = "SELECT operation, xid, (v.row).id, (v.row).v, md5((v.row).t) AS t FROM strata.versions(NULL::item, '$from', NULL, NULL, %s) v WHERE start_lsn IS NOT NULL";
my $difference = sub {
	my ($versions, $witness) = @_;
	return "CREATE TEMP TABLE seen AS $versions; CREATE TEMP TABLE said AS $witness; SELECT (SELECT count(*) FROM (SELECT * FROM seen EXCEPT ALL SELECT * FROM said) a), (SELECT count(*) FROM (SELECT * FROM said EXCEPT ALL SELECT * FROM seen) b), (SELECT count(*) > 100 FROM seen)";
};
my $in_full = $difference->(sprintf($seen, 'true'), "SELECT $columns FROM witness");
sql_prints($node, $in_full, '0|0|t', 'every change');

# The first and the last of each transaction's changes of a row say what it did to it.
my $net = <<'SQL';
SELECT CASE WHEN NOT had AND has THEN 'I' WHEN had AND NOT has THEN 'D' ELSE 'U' END AS operation, xid, id, v, t
FROM (SELECT DISTINCT xid, id, first_value(operation) OVER w <> 'I' AS had, last_value(operation) OVER w <> 'D' AS has,
        last_value(v) OVER w AS v, md5(last_value(t) OVER w) AS t,
        bool_or(operation = 'D') OVER (PARTITION BY xid, id) AND count(*) OVER (PARTITION BY xid, id) > 1 AS mixed
      FROM witness WINDOW w AS (PARTITION BY xid, id ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) s
WHERE (had OR has) AND NOT mixed
SQL
my $unmixed = "SELECT * FROM (" . sprintf($seen, 'false') . ") s WHERE (xid, id) NOT IN (SELECT xid, id FROM witness GROUP BY xid, id HAVING bool_or(operation = 'D') AND count(*) > 1)";
sql_prints($node, $difference->($unmixed, $net), '0|0|t', 'what each transaction did to each row');

sql_prints($node, "SELECT count(*) FROM strata.versions(NULL::item, '$from') v WHERE start_lsn IS NOT NULL AND abs(extract(epoch FROM start_time - pg_xact_commit_timestamp(v.xid::xid))) > 1", 0, 'commit times');

# The version that stands is the present's, each version ends where its successor begins.
sql_prints($node, "SELECT count(*) FROM (SELECT (v.row).* FROM strata.versions(NULL::item, '$from') v WHERE end_lsn IS NULL AND operation <> 'D' EXCEPT SELECT * FROM item) s", 0, 'what stands is in the table');
sql_prints($node, "SELECT count(*) FROM (SELECT (v.row).id, end_lsn FROM strata.versions(NULL::item, '$from') v WHERE end_lsn IS NOT NULL EXCEPT SELECT (v.row).id, start_lsn FROM strata.versions(NULL::item, '$from') v) s", 0, 'an end is a beginning');

# A fault that is planted in the witness is seen.
$node->safe_psql('postgres', 'UPDATE witness SET v = v + 1 WHERE n = (SELECT max(n) FROM witness)');
sql_prints($node, $in_full, '1|1|t', 'a wrong value in the witness is found');

check_all_pages($node);
log_is_clean($node);
done_testing();
