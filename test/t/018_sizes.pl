# Relation sizes answer for the past.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('sizes');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int PRIMARY KEY, b text, big text STORAGE EXTERNAL);
CREATE INDEX t_b ON t (b);
CREATE TABLE bystander AS SELECT generate_series(1, 10000) AS a;
SQL
# Bulk loads extend files ahead of WAL: VACUUM takes back what was not used.
$node->safe_psql('postgres', 'VACUUM bystander');
# The free space map is not in WAL: sizes that count it are compared without it.
my @queries = (
	'pg_relation_size' => "SELECT pg_relation_size('t'), pg_relation_size('t_pkey'), pg_relation_size('t_b')",
	'pg_relation_size of the visibility map' => "SELECT pg_relation_size('t', 'vm'), pg_relation_size('t', 'init')",
	'pg_relation_size of TOAST' => "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 't'",
	'pg_indexes_size' => "SELECT pg_indexes_size('t') - (SELECT coalesce(sum(pg_relation_size(indexrelid, 'fsm')), 0) FROM pg_index WHERE indrelid = 't'::regclass)",
	'pg_table_size' => "SELECT pg_table_size('bystander') - pg_relation_size('bystander', 'fsm')",
	'pg_total_relation_size' => "SELECT pg_total_relation_size('bystander') - pg_relation_size('bystander', 'fsm')",
	'relpages' => "SELECT relpages FROM pg_class WHERE relname = 't'",
	'rows by a sequential scan' => 'SELECT count(*) FROM t');
my @stages;

sub stage
{
	my ($what, @sql) = @_;
	$node->safe_psql('postgres', $_) for @sql;
	# VACUUM may end without a commit of its own.
	commit_in($node);
	push @stages, [ $what, remember($node, 'postgres', @queries) ];
	return;
}
stage('when empty', 'SELECT 1');
stage('after growth', "INSERT INTO t SELECT i, md5(i::text), repeat('x', 3000) FROM generate_series(1, 3000) i");
stage('after VACUUM', 'VACUUM t');
stage('after the end was truncated', 'DELETE FROM t WHERE a > 300', 'VACUUM (TRUNCATE) t');
stage('after it grew again', "INSERT INTO t SELECT i, 'again', repeat('y', 2500) FROM generate_series(4000, 6000) i");
stage('after TRUNCATE', 'TRUNCATE t');
stage('after TRUNCATE and growth', "INSERT INTO t SELECT i, 'third', NULL FROM generate_series(1, 500) i");
stage('after TRUNCATE in the transaction that created its file', "BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 'x', 'y'); TRUNCATE t; INSERT INTO t SELECT i, 'fourth' FROM generate_series(1, 777) i; COMMIT");
stage('after VACUUM FULL', 'DELETE FROM t WHERE a % 2 = 0', 'VACUUM FULL t');
stage('after a transaction that grew it was rolled back', "BEGIN; INSERT INTO t SELECT i, 'never' FROM generate_series(10000, 20000) i; ROLLBACK");
stage('after COPY', "COPY t FROM PROGRAM 'seq -f \"%.0f\tcopied\tx\" 100000 104000'", 'VACUUM t');
$node->safe_psql('postgres', 'CREATE TABLE sizes AS SELECT pg_database_size(\'postgres\') AS whole');
my $before_drop = now_in($node);
my ($oid, $total) = split /\|/, $node->safe_psql('postgres', "SELECT 't'::regclass::oid, pg_relation_size('t')");
$node->safe_psql('postgres', 'DROP TABLE t');
my $after_drop = now_in($node);
still_holds($_->[1], $_->[0]) for @stages;

is(at($node, $before_drop, "SELECT pg_relation_size($oid)"), $total, 'a dropped relation has its size before DROP');
is(at($node, $after_drop, "SELECT pg_relation_size($oid)"), '', 'and none after it');
is($node->safe_psql('postgres', "SELECT pg_relation_size($oid)"), '', 'nor in the present');
my ($db_size, $ratio) = split /\|/, at($node, $before_drop, 'SELECT pg_database_size(current_database()), pg_database_size(current_database())::float / whole FROM sizes');
ok($ratio > 0.8 && $ratio < 1.1, "pg_database_size is about what it was: $ratio");
is(at($node, $before_drop, "SELECT pg_database_size('postgres') = pg_database_size(oid) FROM pg_database WHERE datname = 'postgres'"), 't', 'by name and by oid');
is(at($node, $before_drop, "SELECT pg_tablespace_size('pg_default') > $db_size AND pg_tablespace_size('pg_global') > 0"), 't', 'pg_tablespace_size answers for the past');
like(at_error($node, $before_drop, "SELECT pg_relation_size('nothing')"), qr/42P01/, 'a relation that does not exist is an error as ever');
like(at($node, $before_drop, "\\dt+ t"), qr/\|t\|table\|.*permanent\|heap\|\d+ kB/, 'psql shows sizes of the past');
is(at($node, $before_drop, "SELECT count(*) FROM (SELECT ctid FROM t WHERE ctid >= '(0,1)') x") > 4000, 1, 'a TID scan ends at the size of the past');

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
