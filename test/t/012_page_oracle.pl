# Every page that PostgreSQL has can be rebuilt from history, after load on all index access methods and much DDL.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('oracle', autovacuum => 'on', autovacuum_naptime => '1s', log_statement => 'none',
	checkpoint_timeout => '30s', max_wal_size => "'64MB'", shared_buffers => "'16MB'");
my $scripts = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE many (id int, r int4range, j jsonb, p point, t text, a int[]);
CREATE INDEX ON many USING btree (id);
CREATE INDEX ON many USING btree (t, id);
CREATE INDEX ON many USING hash (t);
CREATE INDEX ON many USING gin (j);
CREATE INDEX ON many USING gin (a) WITH (fastupdate = off);
CREATE INDEX ON many USING gist (r);
CREATE INDEX ON many USING gist (p);
CREATE INDEX ON many USING spgist (p);
CREATE INDEX ON many USING spgist (t);
CREATE INDEX ON many USING brin (id) WITH (pages_per_range = 1, autosummarize = on);
CREATE INDEX ON many USING brin (r range_inclusion_ops) WITH (pages_per_range = 4);
CREATE SEQUENCE numbers;
CREATE TABLE locked AS SELECT generate_series(1, 200) AS id, 0 AS n;
CREATE TABLE toasted (id int, big text STORAGE EXTERNAL);
CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY);
SQL
append_to_file("$scripts/many.sql", <<'SQL');
\set k random(1, 100000)
\set d random(1, 100000)
INSERT INTO many SELECT i, int4range(i, i + 10), jsonb_build_object('k', i, md5(i::text), i), point(i, i % 777), md5(i::text), ARRAY[i, i + 1]
  FROM generate_series(:k, :k + 20) i;
UPDATE many SET t = t || 'x', p = point(1, id), r = int4range(id, id + 100) WHERE id BETWEEN :d AND :d + 300;
DELETE FROM many WHERE id BETWEEN :k + 5000 AND :k + 6000;
INSERT INTO toasted VALUES (:k, repeat(md5(:d::text), 200));
UPDATE toasted SET big = repeat('y', 3000) WHERE id = :d;
SELECT nextval('numbers');
SQL
append_to_file("$scripts/locks.sql", <<'SQL');
\set k random(1, 200)
BEGIN;
SELECT * FROM locked WHERE id = :k FOR KEY SHARE;
SAVEPOINT s;
UPDATE locked SET n = n + 1 WHERE id = :k;
ROLLBACK TO s;
SELECT * FROM locked WHERE id = :k FOR SHARE;
COMMIT;
SQL
append_to_file("$scripts/ddl.sql", <<'SQL');
\set k random(1, 1000000000)
BEGIN;
CREATE TABLE made_:k (a int PRIMARY KEY, b text);
INSERT INTO made_:k SELECT i, repeat('b', 100) FROM generate_series(1, 300) i;
COMMIT;
ALTER TABLE made_:k ADD c int DEFAULT 7, ALTER a TYPE bigint;
TRUNCATE made_:k;
INSERT INTO made_:k SELECT i, 'again' FROM generate_series(1, 50) i;
BEGIN;
DROP TABLE made_:k;
CREATE MATERIALIZED VIEW mat_:k AS SELECT * FROM locked;
ROLLBACK;
DELETE FROM made_:k WHERE a > 10;
VACUUM (TRUNCATE) made_:k;
SQL
$node->command_ok([ 'pgbench', '-i', '-q', '-s', '2', 'postgres' ], 'pgbench initialises');
$node->command_ok(
	[ 'pgbench', '-n', '-c', '6', '-j', '2', '-T', '15', '-b', 'tpcb-like@8', '-f', "$scripts/many.sql\@2", '-f', "$scripts/locks.sql\@4", '-f', "$scripts/ddl.sql\@1", '--max-tries=20', 'postgres' ],
	'pgbench and mixed DDL run while history is kept');
for my $sql ('VACUUM', 'REINDEX TABLE CONCURRENTLY many', 'VACUUM (FREEZE) locked', 'CLUSTER many USING many_id_idx', 'VACUUM FULL pg_class',
	"SELECT brin_summarize_new_values('many_id_idx1'), gin_clean_pending_list('many_j_idx')", 'CREATE DATABASE copy STRATEGY file_copy',
	'DELETE FROM many WHERE id % 2 = 0', 'VACUUM many', 'CREATE DATABASE logged STRATEGY wal_log')
{
	my ($out, $error) = try_sql($node, $sql);
	unlike($error, qr/ERROR/, "the load goes on: $sql");
}

my ($pages, $calls, $mismatches) = no_mismatch($node, 'after pgbench and DDL every page of every database rebuilt from history equals the page that PostgreSQL has');
diag("page oracle: $pages pages, $calls redo calls, $mismatches mismatches");
cmp_ok($calls, '>', 1000, 'the oracle has called redo routines');
$node->restart;
no_mismatch($node, 'and the same after a restart');
is($node->safe_psql('postgres', 'SELECT state, last_error FROM strata.status()'), 'running|', 'history runs, with no error');

log_is_clean($node);
$node->stop;
done_testing();
