# With strata_enabled = off the server is PostgreSQL.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('off', start => 0);
$node->append_conf('postgresql.conf', 'strata_enabled = off');
$node->start;

is($node->safe_psql('postgres', 'SHOW strata_enabled'), 'off', 'strata_enabled is off');
is($node->safe_psql('postgres', 'SELECT boot_val, context FROM pg_settings WHERE name = \'strata_enabled\''), 'off|postmaster', 'off is the default, and a change needs a restart');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'strata'"), 0, 'there is no worker');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, 'there is no replication slot');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_shmem_allocations WHERE name ~ 'strata'"), 0, 'there is no shared memory');
is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), '', 'no library is preloaded');
ok(!-e $node->data_dir . '/pg_strata', 'there is no directory');
my ($out, $error) = try_sql($node, "SET strata.travel_time = 'now'; SELECT 1;");
like($error, qr/55000: .*strata is not enabled.*HINT: .*strata_enabled = on/s, 'SET strata.travel_time is an error that says what to set');
is($out, 1, 'the session goes on in the present');
like((try_sql($node, "SET strata.travel_lsn = '0/1'"))[1], qr/55000: .*strata is not enabled/, 'SET strata.travel_lsn is an error');
like((try_sql($node, 'SELECT 1', options => pgoptions('2020-01-01')))[1], qr/strata is not enabled/, 'travel by PGOPTIONS is an error');
is(join('|', try_sql($node, 'RESET strata.travel_time; SHOW strata.travel_time; SET strata.travel_time = \'\'; SELECT 1;')), "\n1|", 'RESET, SHOW and the empty value are none');
like((try_sql($node, 'SET strata.enabled = on'))[1], qr/ERROR: .*unrecognized configuration parameter "strata.enabled".*HINT:  The parameter is named strata_enabled/s, 'a name that is nearly right is an error');
($out, $error) = try_sql($node, 'CREATE EXTENSION strata');
is($error, '', 'the extension can be created');
for my $call ('strata.status()', 'strata.horizon()', 'strata.layers()', 'strata.lsn_at(now())', "strata.time_at('0/1')", "strata.wait_for('0/1')", "strata.check_pages('pg_class')")
{
	like((try_sql($node, "SELECT $call"))[1], qr/55000: .*strata is not enabled/, "$call says that strata is not enabled");
}
$node->safe_psql('postgres', "CREATE TABLE t AS SELECT generate_series(1, 1000) AS a; CREATE ROLE stored LOGIN; GRANT SELECT ON t TO stored");

# On, off, and on again: the history that was not kept is no history.
$node->append_conf('postgresql.conf', 'strata_enabled = on');
$node->restart;
wait_for_history($node);
my $then = now_in($node);
$node->safe_psql('postgres', 'DELETE FROM t WHERE a > 10');
is(at($node, $then, 'SELECT count(*) FROM t'), 1000, 'switched on, history is kept');
$node->safe_psql('postgres', "ALTER ROLE stored SET strata.travel_time = '$then'");
$node->append_conf('postgresql.conf', 'strata_enabled = off');
$node->restart;
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'strata'"), 0, 'switched off, there is no worker again');
($out, $error) = try_sql($node, 'SELECT count(*) FROM t', user => 'stored');
is($out, 10, 'a stored setting locks nobody out when strata is off');
like($error, qr/WARNING/, 'but is not silently ignored');
$node->safe_psql('postgres', 'DELETE FROM t WHERE a > 5');
$node->append_conf('postgresql.conf', 'strata_enabled = on');
$node->restart;
wait_for_history($node);
is(at($node, $then, 'SELECT count(*) FROM t'), 1000, 'switched on again, the slot has kept the WAL and the history is whole');
is(at($node, now_in($node), 'SELECT count(*) FROM t'), 5, 'what happened in between is in it');
no_mismatch($node);

log_is_clean($node);
$node->stop;
done_testing();
