# History is bounded by time and by size: what is older goes from disk, what is younger stays as it was, to the byte,
# and a session that stands on what has to go keeps it for a while.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('retention', 'strata.memtable_size' => "'4MB'", checkpoint_timeout => '1h');
prepare_churn($node);
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', 'CREATE TABLE inside (a int PRIMARY KEY); INSERT INTO inside SELECT generate_series(1, 5000)');

sub moment
{
	return { lsn => reached_lsn($node), time => now_in($node), rows => $node->safe_psql('postgres', 'SELECT count(*), sum(n), sum(id) FROM many') };
}

sub set
{
	my (%settings) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_ = '$settings{$_}'") for sort keys %settings;
	$node->reload;
	return;
}

sub history_bytes { return $node->safe_psql('postgres', 'SELECT sum(bytes) FROM strata.layers()'); }

sub horizon_passes
{
	my ($lsn) = @_;
	return $node->poll_query_until('postgres', "SELECT lsn >= '$lsn' FROM strata.horizon()");
}

# Settings are read as PostgreSQL's others, and as intervals. What takes history away wants a unit: a number may mean another one.
for my $case (['strata.retention_time', '7 days', 1], ['strata.retention_time', '7d', 1], ['strata.retention_time', '90min', 1],
	['strata.retention_time', '1 month', 1], ['strata.retention_time', '-1', 1], ['strata.retention_time', 'soon', 0],
	['strata.retention_time', '-7 days', 0], ['strata.retention_size', '100GB', 1], ['strata.retention_size', '4TB', 1],
	['strata.max_travel_age', '2 hours', 1], ['strata.max_travel_age', 'x', 0], ['strata.max_travel_age', '5', 0], ['strata.max_travel_age', '-1', 1],
	['strata.retention_time', '7', 0], ['strata.retention_time', ' 7 ', 0], ['strata.retention_time', '7.5', 0], ['strata.retention_time', '1e3', 0],
	['strata.retention_time', '-2', 0], ['strata.retention_time', '6m', 0], ['strata.retention_time', '6 M', 0], ['strata.retention_time', '6mon', 1],
	['strata.retention_time', '1:30', 0], ['strata.retention_time', 'P6M', 1], ['strata.retention_time', '0 s', 0], ['strata.retention_time', '500ms', 1],
	['strata.retention_time', '0', 1], ['strata.retention_size', '100', 0], ['strata.retention_size', '0', 1], ['strata.retention_size', '-1', 1],
	['strata.retention_size', '1kB', 0], ['strata.retention_size', '-5GB', 0], ['strata.max_wal_lag', '1024', 0], ['strata.max_wal_lag', '10GB', 1],
	['strata.max_wal_lag', '0', 1], ['strata.max_wal_lag', '-1', 1], ['strata.retention_grace', '10', 0], ['strata.retention_grace', '10min', 1])
{
	my ($name, $value, $good) = @$case;
	my ($out, $error) = try_sql($node, "ALTER SYSTEM SET $name = '$value'");
	ok($good ? $error eq '' : $error =~ /ERROR:  22023: invalid value for parameter "$name": "$value"/, "$name = $value")
	  or diag($error);
	like($error, qr/HINT:  A (time|size) needs a unit/, 'the hint says what is missing') unless $good;
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');

# New bounds that take away more than half of history wait for a while, and the log says so before.
churn($node, 3);
for my $case ([ 'strata.retention_size', '1MB' ], [ 'strata.retention_time', '1s' ])
{
	my ($name, $value) = @$case;
	my $before = moment();
	churn($node, 1);
	reached_lsn($node);
	my $horizon = $node->safe_psql('postgres', 'SELECT lsn FROM strata.horizon()');
	my $offset = -s $node->logfile;
	set('strata.retention_grace' => '1h', $name => $value);
	ok($node->wait_for_log(qr/WARNING: .*strata: more than half of history will be taken away at .*\n.*DETAIL: .*"$name" is $value.*\n.*HINT: .*retention_grace/, $offset), "$name = $value: the log says what will happen");
	is($node->safe_psql('postgres', 'SELECT lsn FROM strata.horizon()'), $horizon, 'it does not happen yet');
	is(at_lsn($node, $before->{lsn}, 'SELECT count(*), sum(n), sum(id) FROM many'), $before->{rows}, 'history is there');
	set($name => '0');
	set('strata.retention_grace' => '2s');
	$offset = -s $node->logfile;
	set($name => $value);
	ok($node->wait_for_log(qr/more than half of history will be taken away/, $offset), 'a new bound is told again');
	ok($node->poll_query_until('postgres', "SELECT lsn > '$horizon' FROM strata.horizon()"), 'and after the grace period it holds');
	$node->safe_psql('postgres', "ALTER SYSTEM RESET $name; ALTER SYSTEM RESET strata.retention_grace");
	$node->reload;
}

# By time.
churn($node, 2);
$node->safe_psql('postgres', 'CREATE TABLE doomed AS SELECT i, md5(i::text) t FROM generate_series(1, 100000) i');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE source STRATEGY file_copy');
$node->safe_psql('source', 'UPDATE inside SET a = a + 10000');
$node->safe_psql('copy', 'UPDATE inside SET a = a + 20000 WHERE a < 100');
my $old = moment();
my $leasing = traveller($node, $old->{time});
is($leasing->query_safe('SELECT count(*) FROM doomed'), '100000', 'a session travels to what will be gone');
$node->safe_psql('postgres', 'DROP TABLE doomed');
my $since = moment();
churn($node, 1);
my @moments;
my $age = "SELECT extract(epoch FROM clock_timestamp() - '$since->{time}')::int";
while (@moments < 3 || $node->safe_psql('postgres', $age) < 15)
{
	churn($node, 1);
	push @moments, moment();
}
like(at_lsn($node, $since->{lsn}, 'SELECT count(*) FROM doomed'), qr/does not exist/, 'the dropped table is gone at a later moment');
my $copy_holds = 'SELECT count(*), sum(a) FROM inside';
my $copied = '5000|' . (5000 * 5001 / 2 + 99 * 20000);
for my $one (@moments)
{
	$one->{pages} = digest_of_all_pages($node, $one->{lsn});
	like($one->{pages}, qr/^[0-9a-f]{32}$/, 'all pages of a moment can be read');
}
is(at_lsn($node, $moments[-1]{lsn}, $copy_holds, 'copy'), $copied, 'the copied database is as it was');
my $before = history_bytes();

sub every_moment_is_right
{
	my ($what) = @_;
	my $horizon = $node->safe_psql('postgres', 'SELECT lsn FROM strata.horizon()');
	my $count = 0;
	my @wrong;
	for my $one (@moments)
	{
		next if $node->safe_psql('postgres', "SELECT '$one->{lsn}' < '$horizon'::pg_lsn") eq 't';
		++$count;
		push @wrong, "pages at $one->{lsn}" if digest_of_all_pages($node, $one->{lsn}) ne $one->{pages};
		push @wrong, "rows at $one->{lsn}" if at_lsn($node, $one->{lsn}, 'SELECT count(*), sum(n), sum(id) FROM many') ne $one->{rows};
		push @wrong, "the copied database at $one->{lsn}" if at_lsn($node, $one->{lsn}, $copy_holds, 'copy') ne $copied;
	}
	is(join("\n", @wrong), '', "$count moments $what");
	cmp_ok($count, '>', 0, 'some of them have stayed');
	return;
}

# The horizon goes to what is as old as the dropping of the table.
my $keep = $node->safe_psql('postgres', $age);
note("strata.retention_time = $keep s");
set('strata.max_travel_age' => '1 day', 'strata.retention_time' => "$keep seconds");
ok($node->poll_query_until('postgres', "SELECT lsn > '$old->{lsn}' FROM strata.horizon()"), 'the horizon passes the older moment');
like(at_error($node, $old->{time}, 'SELECT 1'), qr/ERROR:  22023: cannot travel to .*: history does not reach back that far\nDETAIL:  Moments from .* can be reached/s,
	'nobody goes there any more');
like((try_sql($node, "SET strata.travel_lsn = '$old->{lsn}'"))[1], qr/ERROR:  22023: .*history does not reach back that far/, 'nor by LSN');
is($leasing->query_safe('SELECT count(*), min(t) FROM doomed'), '100000|' . $node->safe_psql('postgres', 'SELECT min(md5(i::text)) FROM generate_series(1, 100000) i'),
	'the session that is there already reads on');
set('strata.max_travel_age' => '1s');
# Every answer before the error is right.
my ($told, $end) = ('100000', time + $PostgreSQL::Test::Utils::timeout_default);
while ($leasing->{stderr} eq '' && $told eq '100000' && time < $end)
{
	$told = $leasing->query('SELECT count(*) FROM doomed');
}
set('strata.retention_time' => '1 day');
like($leasing->{stderr}, qr/ERROR:  history at LSN \S+ is gone\nDETAIL:  .*strata\.max_travel_age.*\nHINT:  Travel to a later moment\. RESET/s,
	'after strata.max_travel_age its history goes, and the session is told so');
$leasing->{stderr} = '';
is($leasing->query_safe('RESET strata.travel_time; SELECT 1'), '1', 'it can go on in the present');
$leasing->quit;

$node->restart;
wait_for_history($node);
is($node->safe_psql('postgres', "SELECT lsn > '$old->{lsn}' FROM strata.horizon()"), 't', 'the horizon is durable');
every_moment_is_right('are as they were, to the byte, and so is a copied database whose source has changed');
no_mismatch($node, 'every page rebuilt from history whose garbage was collected equals the page that PostgreSQL has');

# By size.
churn($node, 6);
my $late = moment();
my $large = history_bytes();
my $images = $node->safe_psql('postgres', 'SELECT sum(bytes) FROM strata.layers() WHERE image');
my $limit = int($images / 1048576) + 3;
set('strata.retention_time' => '0', 'strata.retention_size' => "${limit}MB");
my $within = "SELECT sum(bytes) <= 1.25 * $limit * 1048576 FROM strata.layers()";
for (1 .. 4)
{
	churn($node, 3);
	ok($node->poll_query_until('postgres', $within), "history keeps within $limit MB");
}
note("bytes: $before at first, $large before the size was bounded, " . history_bytes() . " now");
ok(horizon_passes($late->{lsn}), 'what is older is gone');
my $now = moment();
$now->{pages} = digest_of_all_pages($node, $now->{lsn});
$node->stop('immediate');
$node->start;
wait_for_history($node);
is(digest_of_all_pages($node, $now->{lsn}), $now->{pages}, 'after a crash all pages of a moment are the same');
no_mismatch($node, 'and every page of the present');

# A size that even the images exceed.
set('strata.retention_size' => '1MB');
churn($node, 2);
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM regexp_matches(pg_read_file('" . $node->logfile . "'), 'retention_size. cannot be kept')"),
	'a bound that cannot be kept is told');
no_mismatch($node, 'and history goes on');
no_file_is_left_over($node);
is($node->safe_psql('postgres', q{SELECT string_agg(file || ': ' || problem, '; ') FROM strata.verify() WHERE problem IS NOT NULL}), '',
	'every file is sound');
is($node->safe_psql('postgres', 'SELECT state, last_error FROM strata.status()'), 'running|', 'history runs, with no error');
unlike(slurp_file($node->logfile), qr/layers could not be merged/, 'no merge has failed');
log_is_clean($node);
$node->stop;
done_testing();
