# Everything that a session reads comes from the past.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('objects');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE keeper LOGIN CONNECTION LIMIT 7;
CREATE ROLE leaver;
GRANT leaver TO keeper;
CREATE SCHEMA shop AUTHORIZATION keeper;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);
CREATE TABLE shop.altered (id int PRIMARY KEY, note text DEFAULT 'none', feeling mood, n even);
INSERT INTO shop.altered SELECT i, 'note ' || i, 'happy', 2 * i FROM generate_series(1, 500) i;
COMMENT ON TABLE shop.altered IS 'before';
CREATE TABLE dropped AS SELECT i AS id, md5(i::text) AS hash FROM generate_series(1, 1000) i;
CREATE TABLE toasted (id int, big text, packed text);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat(md5(i::text), 2000), string_agg(md5((i * j)::text), '')
  FROM generate_series(1, 10) i, generate_series(1, 700) j GROUP BY i;
CREATE SEQUENCE plain;
SELECT setval('plain', 4711);
CREATE MATERIALIZED VIEW summary AS SELECT count(*) AS n, sum(id) AS total FROM dropped;
CREATE VIEW seen AS SELECT id, hash FROM dropped WHERE id <= 5;
CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (200);
INSERT INTO parted SELECT i, 'v' || i FROM generate_series(0, 199) i;
CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
CREATE FUNCTION rows_of_dropped() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM dropped); END';
SELECT lo_from_bytea(123456, decode(repeat('c0ffee', 5000), 'hex'));
CREATE UNLOGGED TABLE unlogged (a int);
INSERT INTO unlogged VALUES (1);
CREATE TABLE many (id int, r int4range, j jsonb, p point, t text);
INSERT INTO many SELECT i, int4range(i, i + 10), jsonb_build_object('k', i), point(i, i % 7), 'text ' || i
  FROM generate_series(1, 3000) i;
CREATE INDEX many_btree ON many USING btree (id);
CREATE INDEX many_hash ON many USING hash (t);
CREATE INDEX many_gin ON many USING gin (j);
CREATE INDEX many_gist ON many USING gist (r);
CREATE INDEX many_spgist ON many USING spgist (p);
CREATE INDEX many_brin ON many USING brin (id) WITH (pages_per_range = 2);
INSERT INTO many SELECT i, int4range(i, i + 10), jsonb_build_object('k', i), point(i, i % 7), 'text ' || i
  FROM generate_series(3001, 4000) i;
DELETE FROM many WHERE id % 10 = 3;
CREATE RULE ignored AS ON UPDATE TO dropped DO INSTEAD NOTHING;
ANALYZE;
SQL

my %index = (
	btree => [ 'many_btree', 'id BETWEEN 1995 AND 2020', '' ],
	hash => [ 'many_hash', "t = 'text 2511'", '' ],
	gin => [ 'many_gin', q(j @> '{"k": 3500}'), '' ],
	gist => [ 'many_gist', 'r @> 1234', '' ],
	spgist => [ 'many_spgist', "p <@ box '(100,0),(140,3)'", '' ],
	brin => [ 'many_brin', 'id BETWEEN 700 AND 720', 'DROP INDEX IF EXISTS' ]);
my @index_queries;
for my $am (sort keys %index)
{
	push @index_queries, "an index scan of $am reads the past",
	  "SELECT string_agg(id::text, ',' ORDER BY id), count(*) FROM many WHERE $index{$am}[1]";
}

my $past = remember(
	$node, 'postgres', @index_queries,
	'a dropped table is back' => 'SELECT count(*), sum(id), min(hash) FROM dropped',
	'an altered table has its old columns' => 'SELECT * FROM shop.altered ORDER BY id LIMIT 3',
	'catalogs are of the past' =>
	  "SELECT attname, atttypid::regtype, attnotnull FROM pg_attribute WHERE attrelid = 'shop.altered'::regclass AND attnum > 0 ORDER BY attnum",
	'defaults and comments are of the past' =>
	  "SELECT column_default, obj_description('shop.altered'::regclass) FROM information_schema.columns WHERE table_name = 'altered' AND column_name = 'note'",
	'values in TOAST are back, compressed or not' =>
	  'SELECT count(*), sum(length(big)), md5(string_agg(big || packed, NULL ORDER BY id)) FROM toasted',
	'a sequence is at its value' => 'SELECT last_value, is_called FROM plain',
	'a materialised view has its old rows' => 'SELECT * FROM summary',
	'a view reads the past' => 'SELECT * FROM seen ORDER BY id',
	'partitions that were dropped or detached are back' => 'SELECT tableoid::regclass, count(*) FROM parted GROUP BY 1 ORDER BY 1',
	'a pruned partition is read' => 'SELECT v FROM parted WHERE k = 150',
	'roles are of the past' => "SELECT rolname, rolconnlimit, rolsuper FROM pg_roles WHERE rolname IN ('keeper', 'leaver') ORDER BY 1",
	'role memberships are of the past' => "SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member = 'keeper'::regrole",
	'a large object is back' => 'SELECT length(lo_get(123456)), md5(lo_get(123456))',
	'a function has its old body' => 'SELECT answer(), rows_of_dropped()',
	'enums and domains are of the past' => "SELECT enum_range(NULL::mood), (SELECT count(*) FROM pg_constraint WHERE contypid = 'even'::regtype)",
	'schemas and owners are of the past' => "SELECT nspname, nspowner::regrole FROM pg_namespace WHERE nspname = 'shop'",
	'planner statistics are of the past' => "SELECT reltuples, (SELECT count(*) FROM pg_stats WHERE tablename = 'many') FROM pg_class WHERE relname = 'many'",
	'psql sees the old definition' => "SELECT pg_get_viewdef('seen'), pg_get_functiondef('answer'::regproc)",
	'the definition of every index is there' => "SELECT string_agg(indexdef, ';' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'many'");
my $time = $past->{time};

$node->safe_psql('postgres', <<'SQL');
DROP VIEW seen;
DROP MATERIALIZED VIEW summary;
DROP TABLE dropped;
ALTER TABLE shop.altered DROP note, ADD extra int DEFAULT 9, ALTER id TYPE bigint;
ALTER TABLE shop.altered RENAME feeling TO sense;
ALTER TYPE mood ADD VALUE 'ecstatic';
ALTER TYPE mood RENAME VALUE 'happy' TO 'glad';
COMMENT ON TABLE shop.altered IS 'after';
UPDATE toasted SET big = 'small', packed = NULL WHERE id % 2 = 0;
DELETE FROM toasted WHERE id % 2 = 1;
SQL
$node->safe_psql('postgres', 'VACUUM FULL toasted');
$node->safe_psql('postgres', <<'SQL');
SELECT nextval('plain'), nextval('plain');
DROP SEQUENCE plain;
DROP TABLE parted_low;
ALTER TABLE parted DETACH PARTITION parted_high;
CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 43';
DROP FUNCTION rows_of_dropped();
SELECT lo_put(123456, 0, 'overwritten');
SELECT lo_unlink(123456);
REVOKE leaver FROM keeper;
DROP ROLE leaver;
ALTER ROLE keeper CONNECTION LIMIT 1;
ALTER SCHEMA shop RENAME TO store;
ALTER SCHEMA store OWNER TO CURRENT_USER;
DELETE FROM many WHERE id % 2 = 0;
UPDATE many SET id = -id, t = 'changed', r = 'empty', j = '{}', p = point(0, 0);
SQL
$node->safe_psql('postgres', 'VACUUM many');
$node->safe_psql('postgres', 'REINDEX TABLE many; DROP TABLE store.altered; DROP TYPE mood; DROP DOMAIN even; ANALYZE; CHECKPOINT');

still_holds($past);

for my $am (sort keys %index)
{
	my ($name, $condition) = @{ $index{$am} };
	# Two indexes serve conditions on id: the other one must not be chosen.
	my $only = $am eq 'brin' ? 'SET enable_indexscan = off; SET enable_indexonlyscan = off;' : '';
	my $sql = "SET enable_seqscan = off; $only";
	my $others = $am eq 'brin' ? qr/many_(brin|btree)/ : qr/$name/;
	like(at($node, $time, "$sql EXPLAIN (COSTS OFF) SELECT id FROM many WHERE $condition"), qr/Index.*Scan.*$others/,
		"the plan of a travelling session uses the $am index");
	my $wanted = (grep { $_->[0] eq "an index scan of $am reads the past" } @{ $past->{memory} })[0];
	is(at($node, $time, "$sql $wanted->[1]"), $wanted->[2], "$am without a sequential scan answers as it did");
}
like(at($node, $time, "SET enable_seqscan = off; EXPLAIN (COSTS OFF) SELECT count(*) FROM many WHERE id < 0"), qr/many_btree/,
	'a plan that finds nothing is made of the same indexes');
is(at($node, $time, 'SET enable_seqscan = off; SELECT count(*) FROM many WHERE id < 0'), 0, 'rows written later are not found through an index');

is(at($node, $time, "SET ROLE keeper; SELECT current_user"), 'keeper', 'SET ROLE takes a role as it was then');
like(at_error($node, $time, 'SELECT * FROM unlogged'), qr/ERROR:  \w{5}: .*(unlogged|no fork)/, 'reading an unlogged table is a clear error');
is(at($node, $time, "SELECT relpersistence FROM pg_class WHERE relname = 'unlogged'"), 'u', 'the catalog row of an unlogged table is there');
is(at($node, $time, 'SELECT count(*) FROM pg_class c WHERE relkind IN (\'r\', \'i\') AND NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = relnamespace)'),
	0, 'the catalogs of the past agree with each other');
like(at($node, $time, "SELECT count(*) FROM pg_stat_user_tables WHERE relname = 'dropped'"), qr/^[01]$/, 'statistics views can be read');

log_is_clean($node);
no_mismatch($node);
$node->stop;
done_testing();
