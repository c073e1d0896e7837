# Without a setting, too, history is given up before WAL that is kept for it fills the disk and stops the server.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataFaults;
use Test::More;

my $node = new_faulty_node('room', log_statement => 'none', max_wal_size => "'64MB'", min_wal_size => "'32MB'", wal_keep_size => 0,
	checkpoint_timeout => "'1h'", 'strata.memtable_size' => "'4MB'", 'strata.compaction' => 'off');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (a int); INSERT INTO t VALUES (1)');
my $megabyte = 1024 * 1024;

is(state_of($node, 'held_wal_limit > 1e9 AND held_wal_bytes < held_wal_limit'), 't', 'there is a limit by default, from the room on the disk');

# The disk of history is full.
my $old = now_in($node);
fail_io('ENOSPC', 'write create', 'pg_strata/');
write_wal($node, 8);
ok($node->poll_query_until('postgres', q{SELECT last_error LIKE '%No space left%' FROM strata.status()}), 'history waits for room');
is(state_of($node, "held_wal_bytes > 100 * $megabyte"), 't', 'and WAL is kept for it');
my $log = -s $node->logfile;
leave_room(40 * $megabyte);
ok($node->poll_query_until('postgres', kept_bytes() . " < 64 * $megabyte"), 'where room for WAL runs out it is let go of');
ok($node->wait_for_log(qr/WARNING: .*strata: history was given up: \d+ MB of WAL are held back, 40 MB are free on the disk of pg_wal, of which WAL needs 64 MB/, $log),
	'the log says so');
ok($node->poll_query_until('postgres', "SELECT sum(size) <= 100 * $megabyte FROM pg_ls_waldir()"), 'and a checkpoint removes it at once');
is(state_of($node, 'horizon_lsn IS NULL AND hint IS NOT NULL'), 't', 'status() says that history has to begin anew');
write_wal($node, 2);
leave_room(0);
heal_io();
ok($node->poll_query_until('postgres', q{SELECT state = 'running' AND horizon_lsn IS NOT NULL FROM strata.status()}), 'it does when there is room');
like(at_error($node, $old, 'SELECT 1'), qr/history does not reach back that far/, 'and does not reach back to the old one');

# History does not take the last room itself.
my $then = now_in($node);
leave_room(50 * $megabyte);
$node->safe_psql('postgres', 'CREATE TABLE large AS SELECT i, md5(i::text) AS t FROM generate_series(1, 100000) i');
ok($node->poll_query_until('postgres', q{SELECT last_error LIKE '%is not created: 50 MB are free, and WAL on the same disk may need 64 MB' FROM strata.status()}),
	'layers are not written into the room that WAL needs');
is($node->safe_psql('postgres', 'SELECT count(*) FROM large'), 100000, 'the present goes on');
leave_room(0);
ok($node->poll_query_until('postgres', q{SELECT last_error IS NULL FROM strata.status()}), 'with room again history goes on');
is(at($node, $then, q{SELECT to_regclass('large') IS NULL}), 't', 'as the one it was');

# The process that keeps WAL hangs, and room runs out.
$node->safe_psql('postgres', 'ALTER SYSTEM SET strata.compaction = on; SELECT pg_reload_conf()');
my $ingest = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata ingest'");
kill 'STOP', $ingest or die "kill: $!";
write_wal($node, 6);
leave_room(20 * $megabyte);
ok($node->poll_query_until('postgres', "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = 'strata'"),
	'the slot of a process that hangs is invalidated');
ok($node->poll_query_until('postgres', "SELECT sum(size) <= 100 * $megabyte FROM pg_ls_waldir()"), 'and its WAL goes');
leave_room(0);
kill 'CONT', $ingest or die "kill: $!";
ok($node->poll_query_until('postgres', q{SELECT state = 'running' AND horizon_lsn IS NOT NULL FROM strata.status()}), 'a new history begins');

# Other limits.
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.max_wal_lag = '96MB'; SELECT pg_reload_conf()});
ok($node->poll_query_until('postgres', "SELECT held_wal_limit = 96 * $megabyte FROM strata.status()"), 'status() shows a limit that is set');
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.max_wal_lag = 0; SELECT pg_reload_conf()});
ok($node->poll_query_until('postgres', 'SELECT held_wal_limit IS NULL FROM strata.status()'), 'and that there is none');
log_is_clean($node);
$node->stop;
done_testing();
