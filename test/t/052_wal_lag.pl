# WAL is not held back for history beyond strata.max_wal_lag: history is given up, loudly, and begins anew by itself.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('wal_lag', max_wal_size => "'64MB'", min_wal_size => "'32MB'", wal_keep_size => 0);
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE t (a int);
INSERT INTO t VALUES (1);
SQL
my $store = $node->data_dir . '/pg_strata';

sub set
{
	my ($name, $value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$node->reload;
	return;
}

# History as it should be after it has begun anew: right from there on, and silent about what was before.
sub begun_anew
{
	my ($old, $leasing) = @_;
	ok($node->poll_query_until('postgres', "SELECT state = 'running' AND horizon_lsn > '$old->{lsn}' FROM strata.status()"),
		'a new history begins by itself');
	is(state_of($node, 'last_error IS NULL'), 't', 'with no error');
	like(at_error($node, $old->{time}, 'SELECT * FROM t'), qr/ERROR:  22023: .*history does not reach back that far/, 'that does not reach back to the old one');
	$leasing->query('SELECT count(*) FROM t');
	like($leasing->{stderr}, qr/ERROR:  history at LSN \S+ is gone|could not/, 'a session that stands in the old one gets an error');
	$leasing->{stderr} = '';
	is($leasing->query_safe('RESET strata.travel_time; SELECT count(*) > 0 FROM t'), 't', 'and can go on in the present');
	$leasing->quit;
	my $count = $node->safe_psql('postgres', 'SELECT count(*) FROM t');
	my $then = now_in($node);
	$node->safe_psql('postgres', 'DELETE FROM t');
	is(at($node, $then, 'SELECT count(*) FROM t'), $count, 'the new history is travelled in');
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (1)');
	no_mismatch($node);
	no_file_is_left_over($node, 'no file of the old one is left');
	return;
}

sub moment { return { lsn => lsn_in($node), time => now_in($node) }; }

sub in_log
{
	my ($pattern, $offset) = @_;
	return scalar(() = slurp_file($node->logfile, $offset) =~ /$pattern/g);
}

# A smaller limit that would end history at once waits for a while, and the log says so before.
{
	my $old = moment();
	chmod 0500, $store or die "chmod: $!";
	set('strata.max_wal_lag', '0');
	write_wal($node, 8);
	cmp_ok($node->safe_psql('postgres', kept_bytes()), '>', 64 * 1024 * 1024, 'much WAL is kept');
	my $offset = -s $node->logfile;
	set('strata.retention_grace', '1h');
	set('strata.max_wal_lag', '64MB');
	ok($node->wait_for_log(qr/WARNING: .*strata: history will be given up at .*\n.*DETAIL: .*"strata.max_wal_lag" is 64MB.*\n.*HINT: .*retention_grace/, $offset), 'the log says what will happen');
	write_wal($node, 1);
	cmp_ok($node->safe_psql('postgres', kept_bytes()), '>', 64 * 1024 * 1024, 'it does not happen yet');
	set('strata.max_wal_lag', '0');
	chmod 0700, $store or die "chmod: $!";
	ok($node->poll_query_until('postgres', kept_bytes() . ' < 64 * 1024 * 1024'), 'history goes on');
	is(at($node, $old->{time}, 'SELECT count(*) FROM t'), 1, 'who takes the limit back in time loses nothing');
	set('strata.retention_grace', '0');
	$node->safe_psql('postgres', 'DELETE FROM t; INSERT INTO t VALUES (1)');
}

# The store's disk refuses writes.
set('strata.max_wal_lag', '64MB');
my $old = moment();
my $leasing = traveller($node, $old->{time});
is($leasing->query_safe('SELECT count(*) FROM t'), '1', 'a session travels');
chmod 0500, $store or die "chmod: $!";
write_wal($node, 8);
ok($node->poll_query_until('postgres', kept_bytes() . ' < 64 * 1024 * 1024'), 'WAL is let go of');
$node->safe_psql('postgres', 'CHECKPOINT');
cmp_ok($node->safe_psql('postgres', 'SELECT sum(size) FROM pg_ls_waldir()'), '<=', 160 * 1024 * 1024, 'and pg_wal is recycled');
is(in_log(qr/WARNING: .*strata: history was given up: \d+ MB of WAL are held back, "strata.max_wal_lag" is 64 MB/, 0), 1, 'the log says so, once');
like(at_error($node, $old->{time}, 'SELECT 1'), qr/ERROR:  55000: history has not begun yet\n/, 'nobody can travel meanwhile');
write_wal($node, 8);
is($node->safe_psql('postgres', kept_bytes() . ' < 96 * 1024 * 1024'), 't', 'nor is more WAL kept');
chmod 0700, $store or die "chmod: $!";
begun_anew($old, $leasing);

# PostgreSQL's own limit.
set('strata.max_wal_lag', '0');
set('max_slot_wal_keep_size', '32MB');
$old = moment();
$leasing = traveller($node, $old->{time});
$leasing->query_safe('SELECT count(*) FROM t');
chmod 0500, $store or die "chmod: $!";
write_wal($node, 8);
$node->safe_psql('postgres', 'CHECKPOINT');
ok($node->poll_query_until('postgres', kept_bytes() . ' < 64 * 1024 * 1024'), 'the slot is invalidated');
chmod 0700, $store or die "chmod: $!";
begun_anew($old, $leasing);
cmp_ok(in_log(qr/WARNING: .*strata: history was given up: the replication slot "strata" has lost its WAL/, 0), '>=', 1, 'the log says why');

# The process that has the slot hangs.
set('max_slot_wal_keep_size', '-1');
set('strata.max_wal_lag', '64MB');
$old = moment();
$leasing = traveller($node, $old->{time});
$leasing->query_safe('SELECT count(*) FROM t');
my $ingest = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata ingest'");
kill 'STOP', $ingest or die "kill: $!";
write_wal($node, 8);
ok($node->poll_query_until('postgres', "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = 'strata'"),
	'the slot of a process that hangs is invalidated');
$node->safe_psql('postgres', 'CHECKPOINT');
kill 'CONT', $ingest or die "kill: $!";
begun_anew($old, $leasing);

$node->restart;
wait_for_history($node);
no_mismatch($node, 'after a restart every page is right');
log_is_clean($node);
$node->stop;
done_testing();
