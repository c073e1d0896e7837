# WAL that cannot be interpreted stops history with an error; there is never a silent hole.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# PostgreSQL's own test of custom resource managers, compiled here.
my $source = "$ENV{STRATA_POSTGRESQL}/source/src/test/modules/test_custom_rmgrs/test_custom_rmgrs.c";
my $library = PostgreSQL::Test::Utils::tempdir . '/test_custom_rmgrs';
chomp(my $headers = `pg_config --includedir-server`);
system_or_bail('cc', '-shared', '-fPIC', '-I', $headers, '-o', "$library.so", $source);

my $node = new_node('unknown', shared_preload_libraries => "'$library'");
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION strata;
CREATE TABLE t (a int);
CREATE FUNCTION custom_record(text, OUT lsn pg_lsn) AS '$library', 'test_custom_rmgrs_insert_wal_record' LANGUAGE c;
SQL
my $before = now_in($node);
$node->safe_psql('postgres', "INSERT INTO t VALUES (1); SELECT custom_record('of an extension'); INSERT INTO t VALUES (2)");
my $after = now_in($node);
is(at($node, $after, 'SELECT count(*) FROM t'), 2, 'a record of a resource manager that an extension brings is no obstacle');

# Without the extension nobody knows what the record did.
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
my $size = -s $node->logfile;
$node->start;
$node->poll_query_until('postgres', "SELECT state = 'stopped' FROM strata.status()");
is(state_of($node, 'state'), 'stopped', 'a record of an unknown resource manager stops history');
like(state_of($node, 'last_error'), qr/cannot be interpreted.*resource manager 128.* at [0-9A-F]+\//, 'strata.status() names the record');
like(state_of($node, 'hint'), qr/shared_preload_libraries/, 'strata.status() says what to do');
ok($node->wait_for_log(qr/strata: history has stopped: WAL record that cannot be interpreted/, $size), 'the log says so too');
is($node->safe_psql('postgres', 'INSERT INTO t VALUES (3) RETURNING a'), 3, 'the present goes on');
like(at_error($node, $after, 'SELECT 1'), qr/55000: .*history has stopped.*DETAIL: .*cannot be interpreted/s, 'a moment after the record is refused with the reason');
my ($out, $error) = try_sql($node, "SET strata.travel_time = 'now'; SELECT count(*) FROM t");
like($error, qr/55000: .*history has stopped/, 'so is now');
is($out, 3, 'and the session stays in the present');
is(at($node, $before, 'SELECT count(*) FROM t'), 0, 'a moment before it can be travelled to as ever');

# With it, history goes on where it stopped.
$node->append_conf('postgresql.conf', "shared_preload_libraries = '$library'");
$node->restart;
wait_for_history($node);
is(state_of($node, 'state, last_error'), 'running|', 'with the extension loaded again history goes on');
is(at($node, $after, 'SELECT count(*) FROM t'), 2, 'the moment after the record is there');
is(at($node, now_in($node), 'SELECT count(*) FROM t'), 3, 'and what was written while history had stopped');
no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
