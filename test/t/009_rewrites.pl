# Files are rewritten under new names, those of mapped catalogs too; the past keeps the old ones.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('rewrites');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE before_rewrite;
CREATE DATABASE second;
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1000, 1, -1) i;
CREATE TABLE widened (a int, b varchar(10));
INSERT INTO widened SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE filled AS SELECT generate_series(1, 5000) AS a;
CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM filled;
DELETE FROM t WHERE a % 5 = 0;
SQL
my @queries = (
	'pg_class' => "SELECT count(*), sum(relnatts) FROM pg_class WHERE relname IN ('t', 'widened', 'filled', 'm')",
	'pg_class by its file' => "SELECT count(*) FROM pg_class WHERE relname = 't' AND pg_relation_filenode(oid) IS NOT NULL",
	'a mapped catalog\'s file number' => "SELECT pg_relation_filenode('pg_class'), pg_relation_filenode('pg_authid'), pg_relation_filenode('pg_database_oid_index')",
	'pg_filenode_relation' => "SELECT pg_filenode_relation(0, pg_relation_filenode('pg_attribute')), pg_filenode_relation(0, pg_relation_filenode('t'))",
	'pg_attribute' => "SELECT attname, atttypmod FROM pg_attribute WHERE attrelid = 'widened'::regclass AND attnum > 0",
	'pg_proc' => "SELECT count(*), md5(string_agg(proname, ',' ORDER BY oid)) FROM pg_proc",
	'pg_type' => "SELECT count(*), to_regrole('before_rewrite') FROM pg_type",
	'pg_database' => 'SELECT string_agg(datname, \',\' ORDER BY datname) FROM pg_database',
	'pg_authid' => "SELECT count(*), (SELECT rolname FROM pg_authid WHERE rolname ~ 'rewrite') FROM pg_authid",
	'a clustered table' => 'SELECT min(ctid), max(ctid), count(*), sum(a) FROM t',
	'a table with rewritten columns' => 'SELECT max(a), max(b), max(length(b)) FROM widened',
	'a truncated and refilled table' => 'SELECT count(*), sum(a) FROM filled',
	'a refreshed materialised view' => 'SELECT n FROM m',
	'an index that was rebuilt' => 'SET enable_seqscan = off; SELECT b FROM t WHERE a = 999');

my $first = remember($node, 'postgres', @queries);
my $past = traveller($node, $first->{time});
$past->query_safe('SELECT count(*) FROM t');
$past->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT a FROM filled; FETCH 2 FROM c');

# A relation map is written before the commit that it belongs to: the moment has none of the first rewrite's file numbers.
for my $catalog ('pg_class', 'pg_attribute', 'pg_proc', 'pg_type', 'pg_index', 'pg_database', 'pg_authid', 'pg_auth_members', 'pg_tablespace', 'pg_shdepend')
{
	$node->safe_psql('postgres', "VACUUM FULL $catalog");
}
still_holds($first, 'is as it was before VACUUM FULL of mapped and shared catalogs');
$node->safe_psql('postgres', 'ALTER ROLE before_rewrite RENAME TO after_rewrite');
$node->safe_psql('postgres', 'DROP DATABASE second');
$node->safe_psql('postgres', <<'SQL');
CLUSTER t USING t_pkey;
ALTER TABLE widened ALTER a TYPE bigint, ALTER b TYPE varchar(20) USING b || ' wider';
TRUNCATE filled;
INSERT INTO filled SELECT generate_series(1, 77);
REFRESH MATERIALIZED VIEW m;
SQL
my $second = remember($node, 'postgres', splice(@{ [@queries] }, 2));
$node->safe_psql('postgres', 'REINDEX SYSTEM postgres');
$node->safe_psql('postgres', 'VACUUM FULL');
$node->safe_psql('postgres', 'BEGIN; TRUNCATE filled; INSERT INTO filled SELECT generate_series(1, 9999); ROLLBACK');
$node->safe_psql('postgres', 'BEGIN; CREATE TABLE aborted AS SELECT generate_series(1, 1000) AS a; ROLLBACK');

still_holds($first, 'is as it was before CLUSTER, ALTER TYPE, TRUNCATE and REINDEX SYSTEM');
still_holds($second, 'is as it was between two rewrites');
is($past->query_safe('FETCH 1 FROM c; MOVE FORWARD 4990 IN c; FETCH 1 FROM c'), "3\n4994", 'a travelling cursor goes on while catalogs and its table are rewritten');
is($past->query_safe('COMMIT; SELECT count(*) FROM filled; SELECT count(*) FROM pg_class WHERE relname = \'t\''), "5000\n1", 'a travelling session goes on while catalogs are rewritten');
$past->quit;

# Relation maps of a new database, and of one at several moments.
$node->safe_psql('postgres', 'CREATE DATABASE mapped');
$node->safe_psql('mapped', 'CREATE TABLE t AS SELECT 1 AS a');
my @maps;
for my $n (1 .. 3)
{
	$node->safe_psql('mapped', "UPDATE t SET a = $n");
	push @maps, remember($node, 'mapped', "the relation map of moment $n" => "SELECT a, pg_relation_filenode('pg_class'), pg_relation_filenode('pg_type') FROM t");
	$node->safe_psql('mapped', 'VACUUM FULL pg_class');
	$node->safe_psql('mapped', 'VACUUM FULL pg_type');
}
still_holds($_) for @maps;
$node->restart;
still_holds($_, 'after a restart') for @maps;

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
