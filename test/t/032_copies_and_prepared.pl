# Databases that lie in several tablespaces and are copied file by file; tablespaces that are gone; sessions that travel while old transactions of
# the present stay prepared.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('copies', allow_in_place_tablespaces => 'on');

$node->safe_psql('postgres', $_) for (q{CREATE TABLESPACE space LOCATION ''}, 'CREATE DATABASE source');
$node->safe_psql('source', <<'SQL');
CREATE TABLE here AS SELECT generate_series(1, 1000) AS a;
CREATE TABLE there TABLESPACE space AS SELECT generate_series(1, 2000) AS a;
SQL
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE source STRATEGY file_copy');
my $queries = 'SELECT (SELECT count(*) FROM here), (SELECT sum(a) FROM there)';
my $copied = remember($node, 'copy', 'a copy has the tables of every tablespace' => $queries);
$node->safe_psql('source', 'TRUNCATE here, there');
$node->safe_psql('copy', 'DELETE FROM here; DELETE FROM there WHERE a > 10; VACUUM here, there');
still_holds($copied);
my $shrunk = remember($node, 'copy', 'and its own changes to them' => $queries);
$node->safe_psql('copy', 'DROP TABLE here, there');
still_holds($shrunk);
still_holds($copied, 'after they were dropped');

# A tablespace's place is in WAL; without it pg_dumpall could not dump a moment before it was dropped.
my $folder = PostgreSQL::Test::Utils::tempdir;
my $places = "SELECT spcname, pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname ~ 'space|linked' ORDER BY 1";
$node->safe_psql('postgres', "CREATE TABLESPACE linked LOCATION '$folder'");
my $linked = remember($node, 'postgres', 'where tablespaces lie is known' => $places);
$node->safe_psql('postgres', $_) for ('DROP DATABASE source', 'DROP DATABASE copy', 'DROP TABLESPACE linked', 'DROP TABLESPACE space');
still_holds($linked, 'after they were dropped');
{
	local $ENV{PGOPTIONS} = pgoptions($linked->{time});
	command_like([ 'pg_dumpall', '--globals-only', '-d', $node->connstr('postgres') ], qr/CREATE TABLESPACE linked .* LOCATION '\Q$folder\E'/,
		'pg_dumpall of the past names them');
}

# The session's first transaction takes snapshots of the present, which counts the prepared transaction as running.
$node->safe_psql('postgres', 'CREATE TABLE t (a int); INSERT INTO t VALUES (1)');
my $before = remember($node, 'postgres', 'a prepared transaction is not seen before it committed' => 'SELECT sum(a) FROM t');
$node->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'old'});
my $prepared = remember($node, 'postgres', 'nor while it is prepared' => 'SELECT sum(a) FROM t');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (4)') for 1 .. 50;
my $after = now_in($node);
{
	local $ENV{PGOPTIONS} = pgoptions($after);
	is($node->safe_psql('postgres', 'SELECT sum(a) FROM t'), 201, 'a session that starts in the past of an old prepared transaction sees what had committed');
}
still_holds($_, 'while it still is') for ($before, $prepared);
$node->safe_psql('postgres', q{COMMIT PREPARED 'old'});
still_holds($_, 'after it committed') for ($before, $prepared);
is(at($node, $after, 'SELECT sum(a) FROM t'), 201, 'a moment stays as it was when a transaction commits that was prepared then');

log_is_clean($node);
$node->stop;
done_testing();
