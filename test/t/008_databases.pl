# Databases and tablespaces: created by both strategies, dropped, moved.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('databases');
my @locations = map { my $dir = PostgreSQL::Test::Utils::tempdir; chmod 0700, $dir; $dir } 1 .. 2;
my $sums = 'SELECT count(*), sum(a), sum(length(b)) FROM t';
my $fill = 'CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 2000) i;';

# Two databases.
my $before_any = now_in($node);
$node->safe_psql('postgres', "$fill CREATE DATABASE one");
$node->safe_psql('one', $fill . 'UPDATE t SET b = \'one\'');
my $both = now_in($node);
$node->safe_psql('postgres', 'TRUNCATE t');
$node->safe_psql('one', 'DELETE FROM t WHERE a > 10');
is(at($node, $both, $sums), '2000|2001000|64000', 'one database is as it was');
is(at($node, $both, $sums, 'one'), '2000|2001000|6000', 'another one is as it was at the same moment');
like(at_error($node, $before_any, 'SELECT 1', 'one'), qr/3D000: .*database "one" did not exist then/, 'travel to before a database existed is a clear error');
is((try_sql($node, "SET strata.travel_time = '$before_any'; $sums", db => 'one'))[0], '10|55|30', 'and the session stays in the present');
my ($out, $error) = try_sql($node, 'SELECT 1', db => 'one', options => pgoptions($before_any));
like($error, qr/database "one" did not exist then/, 'through PGOPTIONS too');
is(at($node, $before_any, "SELECT count(*) FROM pg_database WHERE datname = 'one'"), 0, 'pg_database is as it was before');

# CREATE DATABASE copies a whole database at once.
$node->safe_psql('one', 'CREATE TABLE copied AS SELECT generate_series(1, 500) AS a; CREATE INDEX ON copied (a)');
for my $strategy ('wal_log', 'file_copy')
{
	my $db = "by_$strategy";
	my $before = now_in($node);
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE one STRATEGY $strategy");
	my $created = now_in($node);
	$node->safe_psql($db, 'INSERT INTO copied SELECT generate_series(501, 600); CREATE TABLE more (a int)');
	my $changed = now_in($node);
	$node->safe_psql($db, 'DROP TABLE copied; VACUUM FULL t');
	like(at_error($node, $before, 'SELECT 1', $db), qr/did not exist then/, "before CREATE DATABASE $strategy it did not exist");
	is(at($node, $created, 'SELECT count(*), max(a) FROM copied', $db), '500|500', "after CREATE DATABASE $strategy it has the rows of its template");
	is(at($node, $created, "SET enable_seqscan = off; SELECT a FROM copied WHERE a = 77", $db), 77, "the index that came with STRATEGY $strategy works");
	is(at($node, $created, $sums, $db), '10|55|30', "another table after STRATEGY $strategy");
	is(at($node, $changed, 'SELECT count(*), (SELECT count(*) FROM more) FROM copied', $db), '600|0', "what changed after STRATEGY $strategy is there");
	is(at($node, $created, "SELECT count(*) FROM pg_class WHERE relname = 'more'", $db), 0, "what came later after STRATEGY $strategy is not");
}
is(at($node, $both, "SELECT count(*) FROM pg_class WHERE relname = 'copied'", 'one'), 0, 'the template before its copies is as it was');

# DROP DATABASE, and one with the same name again.
$node->safe_psql('postgres', 'CREATE DATABASE gone');
$node->safe_psql('gone', $fill);
my $there = now_in($node);
my $size = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'gone'");
$node->safe_psql('postgres', 'DROP DATABASE gone');
my $dropped = now_in($node);
is(at($node, $there, "SELECT oid FROM pg_database WHERE datname = 'gone'"), $size, 'a dropped database is in pg_database of the past');
is(at($node, $dropped, "SELECT count(*) FROM pg_database WHERE datname = 'gone'"), 0, 'after DROP DATABASE it is not');
$node->safe_psql('postgres', 'CREATE DATABASE gone');
like(at_error($node, $there, 'SELECT 1', 'gone'), qr/did not exist then/, 'a new database of the same name did not exist then');

# Tablespaces.
$node->safe_psql('postgres', "CREATE TABLESPACE near LOCATION '$locations[0]'");
$node->safe_psql('postgres', "CREATE TABLESPACE far LOCATION '$locations[1]'");
$node->safe_psql('postgres', 'CREATE TABLE moving (a int PRIMARY KEY, b text) TABLESPACE near; INSERT INTO moving SELECT i, md5(i::text) FROM generate_series(1, 1000) i');
my $where = "SELECT count(*), sum(a), (SELECT coalesce(t.spcname, 'default') FROM pg_class c LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.relname = 'moving') FROM moving";
my @stations = ([ 'in a tablespace', remember($node, 'postgres', 'a table' => $where) ]);
$node->safe_psql('postgres', 'ALTER TABLE moving SET TABLESPACE far; DELETE FROM moving WHERE a > 900');
push @stations, [ 'moved to another', remember($node, 'postgres', 'a table' => $where) ];
$node->safe_psql('postgres', 'ALTER TABLE moving SET TABLESPACE pg_default; DELETE FROM moving WHERE a > 800');
push @stations, [ 'moved to the default tablespace', remember($node, 'postgres', 'a table' => $where) ];
$node->safe_psql('postgres', 'DROP TABLE moving');
still_holds($_->[1], $_->[0]) for @stations;

# A database moves.
$node->safe_psql('one', 'CREATE TABLE kept (a int) TABLESPACE near; INSERT INTO kept VALUES (1)');
my $content = "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM copied), (SELECT count(*) FROM kept), spcname FROM pg_database d JOIN pg_tablespace s ON s.oid = dattablespace WHERE datname = 'one'";
my @homes = ([ 'in the default tablespace', remember($node, 'one', 'a database' => $content) ]);
$node->safe_psql('postgres', 'ALTER DATABASE one SET TABLESPACE far');
push @homes, [ 'moved to a tablespace', remember($node, 'one', 'a database' => $content) ];
$node->safe_psql('one', 'DELETE FROM t WHERE a > 5; INSERT INTO kept VALUES (2)');
push @homes, [ 'written to in its tablespace', remember($node, 'one', 'a database' => $content) ];
$node->safe_psql('postgres', 'ALTER DATABASE one SET TABLESPACE pg_default');
$node->safe_psql('one', 'DELETE FROM t; VACUUM t');
push @homes, [ 'moved back', remember($node, 'one', 'a database' => $content) ];
still_holds($_->[1], $_->[0]) for @homes;
no_mismatch($node);

my $with_tablespaces = now_in($node);
$node->safe_psql('one', 'DROP TABLE kept');
$node->safe_psql('postgres', 'DROP TABLESPACE near');
is(at($node, $with_tablespaces, "SELECT string_agg(spcname, ',' ORDER BY spcname) FROM pg_tablespace"), 'far,near,pg_default,pg_global', 'a dropped tablespace is in pg_tablespace of the past');
still_holds($stations[0][1], 'in a tablespace that is dropped');
still_holds($homes[0][1], 'with a table in a tablespace that is dropped');
$node->restart;
still_holds($_->[1], "$_->[0], after a restart") for @stations, @homes;

log_is_clean($node);
$node->stop;
done_testing();
