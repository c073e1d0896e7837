# When layers are merged: as many of level 0 as the threshold says while sessions write, all that is small when the server is idle, not
# while load is back, and not what is damaged.
use strict;
use warnings;

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('merges', log_statement => 'none', log_min_messages => 'debug1', max_wal_size => "'2GB'",
	'strata.memtable_size' => "'4MB'", 'strata.compaction' => 'off', 'strata.merge_threshold' => 12);
my $store = $node->data_dir . '/pg_strata';
prepare_churn($node);

my @moments;

sub remember_moment
{
	my $lsn = reached_lsn($node);
	push @moments, { lsn => $lsn, pages => digest_of_all_pages($node, $lsn) };
	return;
}

sub every_moment_is_right
{
	my ($name) = @_;
	is(join(', ', map { $_->{lsn} } grep { digest_of_all_pages($node, $_->{lsn}) ne $_->{pages} } @moments), '', $name);
	return;
}

sub set
{
	my ($setting, $value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting = $value");
	$node->reload;
	return;
}

sub flushed
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM strata.layers() WHERE level = 0 AND NOT image');
}

# What merges since an offset of the log took: numbers of layers.
sub inputs_since
{
	my ($log) = @_;
	return substr(slurp_file($node->logfile), $log) =~ /strata: merged (\d+) layers/g;
}

# A process that comes there waits, until it is let go.
sub hold_at
{
	my ($point) = @_;
	$node->safe_psql('postgres', "SELECT injection_points_attach('$point', 'wait')");
	return;
}

# REQUIRES: a process waits there.
sub let_go_at
{
	my ($point) = @_;
	$node->safe_psql('postgres', "SELECT injection_points_detach('$point')");
	$node->safe_psql('postgres', "SELECT injection_points_wakeup('$point')");
	return;
}

# Waits until the worker has looked for a merge so many times and found none: it is held each time, and let go on.
my $no_merge = 'strata-compaction-no-merge';

sub looks_for_merges
{
	my ($times) = @_;
	hold_at($no_merge);
	for (2 .. $times)
	{
		$node->wait_for_event('strata compaction', $no_merge);
		$node->safe_psql('postgres', "SELECT injection_points_wakeup('$no_merge')");
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = '$no_merge'");
	}
	$node->wait_for_event('strata compaction', $no_merge);
	let_go_at($no_merge);
	return;
}

# Files of level 1 and later. They are there from the begin of a merge on.
sub merged_files { return glob "$store/delta[1-9]*.layer"; }

sub merged_files_but
{
	my %known = map { $_ => 1 } @_;
	return grep { !$known{$_} } merged_files();
}

# A session that writes until it is told to stop. It never rests for a second.
$node->safe_psql('postgres', 'CREATE EXTENSION injection_points; CREATE TABLE stop ()');
$node->safe_psql('postgres', <<'SQL');
CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 0 .. 100000 LOOP
    EXIT WHEN EXISTS (SELECT FROM stop);
    UPDATE many SET n = n + 1 WHERE id % 20 = i % 20;
    COMMIT;
    IF i % 20 = 0 THEN CHECKPOINT; END IF;
    PERFORM pg_sleep(0.02);
  END LOOP;
END $$;
SQL
churn($node, 1);
remember_moment();

sub start_writing
{
	my $session = $node->background_psql('postgres');
	$session->query_until(qr/writes/, "\\echo writes\nCALL write();\n");
	return $session;
}

sub stop_writing
{
	my ($session) = @_;
	$node->safe_psql('postgres', 'INSERT INTO stop DEFAULT VALUES');
	$session->quit;
	$node->safe_psql('postgres', 'TRUNCATE stop');
	return;
}

# Under load.
my $log = -s $node->logfile;
my $writer = start_writing();
set('strata.compaction', 'on');
$node->wait_for_log(qr/strata: merged \d+ layers/, $log);
cmp_ok((inputs_since($log))[0], '>=', 12, 'while sessions write, a merge waits for as many flushed memtables as the threshold says');
# What has gathered meanwhile is merged by an idle server, so that there is little when the threshold counts again.
set('strata.merge_threshold', 64);
stop_writing($writer);
ok(poll_until(sub { flushed() < 2 }, 0.1), 'an idle server merges what the threshold leaves');
set('strata.compaction', 'off');
$writer = start_writing();
ok(poll_until(sub { flushed() >= 3 }, 0.1), 'more is flushed under load');
set('strata.merge_threshold', 3);
$log = -s $node->logfile;
set('strata.compaction', 'on');
ok($node->wait_for_log(qr/strata: merged \d+ layers/, $log), 'a lower threshold counts from the reload on');
set('strata.merge_threshold', 64);
set('strata.compaction', 'off');
stop_writing($writer);
remember_moment();

# Idle, until load is back: the worker is held when it has begun to write.
churn($node, 2) until flushed() >= 8;
remember_moment();
hold_at('strata-merge-create');
$log = -s $node->logfile;
set('strata.compaction', 'on');
$node->wait_for_event('strata compaction', 'strata-merge-create');
pass('on an idle server fewer layers are merged, too');
is(join(', ', inputs_since($log)), '', 'that merge is in work');
churn($node, 1);
remember_moment();
let_go_at('strata-merge-create');
ok($node->wait_for_log(qr/strata: broke off a merge after \d+ ms, because there is load again/, $log), 'when load is back it is broken off');
every_moment_is_right('every moment is as it was');
ok($node->wait_for_log(qr/strata: merged \d+ layers/, $log), 'at the next rest it is done');
ok($node->poll_query_until('postgres', "SELECT count(*) < 2 FROM strata.layers() WHERE level = 0 AND NOT image"), 'and leaves few layers');
no_file_is_left_over($node, 'no file is left of the one that was broken off');
every_moment_is_right('every moment is as it was after it');

# Sessions write, though ingest does not get on: that is no rest.
set('strata.compaction', 'off');
churn($node, 1) until flushed() >= 3;
remember_moment();
hold_at('strata-memtable-switch');
$writer = start_writing();
$node->wait_for_event('strata ingest', 'strata-memtable-switch');
my @before = merged_files();
set('strata.compaction', 'on');
# It looks twice a second, and the server is idle after a second without writes.
looks_for_merges(5);
is(join(', ', merged_files_but(@before)), '', 'while sessions write no merge begins as if they did not, even if ingest stands still');
let_go_at('strata-memtable-switch');
stop_writing($writer);

# A layer that is damaged while the server runs: when it starts, it may need what is in there to go on with history.
set('strata.compaction', 'off');
churn($node, 1) until flushed() >= 3;
remember_moment();
my ($damaged) = sort glob "$store/delta0-*.layer";
copy($damaged, "$damaged.whole") or die "$damaged: $!";
damage_values($damaged);
my $name = $damaged =~ s/.*\///r;
my $refusal = qr/WARNING:  strata: layers could not be merged: .*\Q$name\E/;
$log = -s $node->logfile;
set('strata.compaction', 'on');
ok($node->wait_for_log($refusal, $log), 'an idle merge of a damaged layer is given up, and says so');
like(state_of($node, 'last_error'), qr/\Q$name\E.* is corrupt|is corrupt.*\Q$name\E/, 'status() names the layer');
looks_for_merges(5);
my @refusals = substr(slurp_file($node->logfile), $log) =~ /$refusal/g;
is(scalar @refusals, 1, 'it is not tried again and again');
copy("$damaged.whole", $damaged) or die "$damaged: $!";
unlink "$damaged.whole";
$log = -s $node->logfile;
$node->reload;
ok($node->wait_for_log(qr/strata: merged \d+ layers/, $log), 'a reload tries it again');
ok($node->poll_query_until('postgres', q{SELECT coalesce(last_error, '') = '' FROM strata.status()}), 'and there is no error any more');
every_moment_is_right('every moment is as it was');
no_mismatch($node);
log_is_clean($node, 'XX001');
$node->stop;
done_testing();
