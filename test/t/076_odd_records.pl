# Records that change no page leave nothing behind and hide nothing: each of them stands between two moments that are right.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('odd', wal_level => 'logical', track_commit_timestamp => 'off', wal_keep_size => "'1GB'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE EXTENSION pg_walinspect;
CREATE TABLE t (n int PRIMARY KEY, what text);
SQL
my $begin = lsn_in($node);
my @moments;
my $rows = q{SELECT count(*), md5(string_agg(n || what, ',' ORDER BY n)), (SELECT count(*) FROM pg_replication_origin) FROM t};

# Statements between two rows.
sub odd
{
	my ($what, @sql) = @_;
	for my $run (sub { }, map { my $sql = $_; ref $sql ? $sql : sub { $node->safe_psql('postgres', $sql) } } @sql)
	{
		$run->();
		my $n = @moments;
		$node->safe_psql('postgres', "INSERT INTO t VALUES ($n, '$what')");
		push @moments, { what => "$what ($n)", lsn => lsn_in($node), rows => $node->safe_psql('postgres', $rows), time => now_in($node) };
	}
	return;
}

sub set_and_restart
{
	my ($setting) = @_;
	return sub { $node->append_conf('postgresql.conf', $setting); $node->restart; wait_for_history($node); };
}

sub set_and_reload
{
	my ($setting) = @_;
	return sub {
		my ($name, $value) = split / = /, $setting;
		$node->append_conf('postgresql.conf', $setting);
		$node->reload;
		$node->poll_query_until('postgres', "SELECT current_setting('$name') = '$value'") or die "$setting is not taken";
		$node->safe_psql('postgres', 'CHECKPOINT');
	};
}
my $running = $node->background_psql('postgres');
$running->query_safe("BEGIN; INSERT INTO t VALUES (-1, 'runs'); SAVEPOINT s; INSERT INTO t VALUES (-2, 'runs')");
odd('RUNNING_XACTS', 'SELECT pg_log_standby_snapshot()', 'CHECKPOINT');
$running->query_safe('ROLLBACK TO s; COMMIT');
$running->quit;
odd('standby locks', 'BEGIN; LOCK t IN ACCESS EXCLUSIVE MODE; SELECT pg_log_standby_snapshot(); COMMIT');
odd('SWITCH', 'SELECT pg_switch_wal()', 'SELECT pg_switch_wal()');
odd('RESTORE_POINT', "SELECT pg_create_restore_point('a point')");
odd('BACKUP_END', "SELECT pg_backup_start('a backup', true); SELECT pg_backup_stop()");
odd('logical messages', "SELECT pg_logical_emit_message(false, 'strata', 'now')",
	"BEGIN; SELECT pg_logical_emit_message(true, 'strata', repeat('m', 3000000)); ROLLBACK",
	"SELECT pg_logical_emit_message(true, 'strata', repeat('m', 30000), true)");
odd('NEXTOID', 'SELECT lo_unlink(lo_create(0)) FROM generate_series(1, 9000)');
odd('origins', "SELECT pg_replication_origin_create('elsewhere')",
	"SELECT pg_replication_origin_advance('elsewhere', '0/1234')",
	# Commits that say that they happened long ago, or are yet to happen, elsewhere. Times of travel are those of here.
	q{SELECT pg_replication_origin_session_setup('elsewhere'); BEGIN; SELECT pg_replication_origin_xact_setup('0/2345', '2001-01-01'); INSERT INTO t VALUES (-3, 'origin'); COMMIT;
	  BEGIN; SELECT pg_replication_origin_xact_setup('0/3456', '2099-01-01'); INSERT INTO t VALUES (-4, 'origin'); SAVEPOINT s; INSERT INTO t VALUES (-5, 'origin'); COMMIT;
	  BEGIN; SELECT pg_replication_origin_xact_setup('0/4567', '2099-01-01'); INSERT INTO t VALUES (-6, 'origin'); PREPARE TRANSACTION 'p';
	  COMMIT PREPARED 'p'; SELECT pg_replication_origin_session_reset()},
	"SELECT pg_replication_origin_drop('elsewhere')");
odd('prepared', "BEGIN; INSERT INTO t VALUES (-7, 'prepared'); CREATE TABLE made (a int); PREPARE TRANSACTION 'one'",
	"BEGIN; INSERT INTO t VALUES (-8, 'prepared'); PREPARE TRANSACTION 'two'", 'CHECKPOINT', "ROLLBACK PREPARED 'two'", sub { $node->restart; wait_for_history($node) },
	"COMMIT PREPARED 'one'");
odd('PARAMETER_CHANGE', set_and_restart('max_connections = 37'), set_and_restart('track_commit_timestamp = on'), set_and_restart('wal_level = replica'));
odd('commit timestamps', 'VACUUM FREEZE t');
odd('FPW_CHANGE', set_and_reload('full_page_writes = off'), set_and_reload('full_page_writes = on'));
odd('FPI_FOR_HINT', set_and_restart('wal_log_hints = on'), 'CHECKPOINT', 'SELECT count(*) FROM t');
odd('compressed images', map { (set_and_reload("wal_compression = $_"), 'CHECKPOINT', "UPDATE t SET what = what || '$_'") } qw(pglz lz4 zstd));

# A record that a crash cut off in the middle, at the end of a segment (the next segment is removed): what follows in WAL
# says that it is not there.
my $aborted;
odd('OVERWRITE_CONTRECORD', sub {
	$node->safe_psql('postgres', <<'SQL');
CHECKPOINT;
CREATE TABLE filler AS SELECT 1 AS a;
DO $$
DECLARE left_over bigint;
BEGIN
  LOOP
    left_over := pg_size_bytes('16MB') - (pg_current_wal_insert_lsn() - '0/0') % pg_size_bytes('16MB');
    EXIT WHEN left_over BETWEEN 2000 AND 20000;
    PERFORM pg_logical_emit_message(false, 'fill', repeat('f', least(greatest(left_over - 12000, 10), 1000000)::int));
  END LOOP;
END $$;
SQL
	my $segment = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())');
	$aborted = lsn_in($node);
	$node->safe_psql('postgres', "SELECT pg_logical_emit_message(false, 'cut off', repeat('c', 200000), true)");
	my $next = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())');
	isnt($next, $segment, 'a record reaches into the next segment');
	$node->stop('immediate');
	unlink($node->data_dir . "/pg_wal/$next") or die "could not remove $next: $!";
	$node->start;
	wait_for_history($node);
});
my $end = lsn_in($node);

# Everything that was meant to be in WAL is there.
my %seen = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', "SELECT DISTINCT resource_manager || ' ' || record_type FROM pg_get_wal_records_info('$begin', '$end')");
ok($seen{$_}, "WAL holds $_") for ('Standby RUNNING_XACTS', 'Standby LOCK', 'XLOG SWITCH', 'XLOG RESTORE_POINT', 'XLOG BACKUP_END', 'LogicalMessage MESSAGE', 'XLOG NEXTOID',
	'ReplicationOrigin SET', 'ReplicationOrigin DROP', 'Transaction PREPARE', 'Transaction COMMIT_PREPARED', 'Transaction ABORT_PREPARED',
	'XLOG PARAMETER_CHANGE', 'XLOG FPW_CHANGE', 'XLOG FPI_FOR_HINT', 'XLOG CHECKPOINT_ONLINE', 'XLOG CHECKPOINT_SHUTDOWN', 'XLOG CHECKPOINT_REDO', 'XLOG OVERWRITE_CONTRECORD');
is($node->safe_psql('postgres', "SELECT strata.lsn_at(clock_timestamp()) > '$aborted'"), 't', 'history is beyond the record that was cut off');

sub every_moment_is_right
{
	my ($suffix) = @_;
	my ($by_lsn, $lsn_error) = try_sql($node, join('', map { "SET strata.travel_lsn = '$_->{lsn}'; $rows;\n" } @moments));
	my ($by_time, $time_error) = try_sql($node, join('', map { "SET strata.travel_time = '$_->{time}'; $rows;\n" } @moments));
	my @names = map { $_->{what} } @moments;
	my $expected = join("\n", map { $_->{rows} } @moments);
	is($by_lsn . $lsn_error, $expected, "every moment between them is right by LSN$suffix");
	is($by_time . $time_error, $expected, "and by time$suffix");
	return;
}
every_moment_is_right('');
$node->restart;
wait_for_history($node);
every_moment_is_right(', after a restart');

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
