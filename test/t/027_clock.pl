# A clock that was set back: while it is behind, times stand for moments before the transactions that came first. Sessions,
# the log and strata.status() say so, and LSNs reach everything.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $clock = PostgreSQL::Test::Utils::tempdir . '/clock';

sub set_clock
{
	my ($ahead) = @_;
	open(my $file, '>', "$clock.new") or die "$clock.new: $!";
	print $file "$ahead\n";
	close $file;
	rename("$clock.new", $clock) or die "$clock: $!";
	return;
}

my $node = new_node('clock', start => 0);
set_clock(0);
{
	local $ENV{STRATA_CLOCK} = $clock;
	local $ENV{LD_PRELOAD} = "$ENV{STRATA_TEST_LIBRARIES}/strata_test_clock.so";
	$node->start;
}
wait_for_history($node);
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (a int); INSERT INTO t VALUES (1)');
my $count = 'SELECT count(*) FROM t;';
my $told = qr/WARNING:  (01000: )?the clock of the server has been set back\n.*DETAIL:  A transaction ended at .*\n.*HINT:  Set "strata.travel_lsn"/;
my ($out, $error) = try_sql($node, "SET strata.travel_time = 'now'; $count");
is("$out$error", '1', 'nothing is said while the clock goes on');
is($node->safe_psql('postgres', 'SELECT clock_behind_until IS NULL FROM strata.status()'), 't', 'nor by strata.status()');

# An hour ahead, and back.
set_clock(3600);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
my $ahead = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
my $offset = -s $node->logfile;
set_clock(0);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (3)');
my $lsn = lsn_in($node);
ok($node->wait_for_log(qr/WARNING: .*strata: the clock of the server has been set back: a transaction ended at .*, which is later than now/, $offset), 'the log says so');
is($node->safe_psql('postgres', "SELECT abs(extract(epoch FROM clock_behind_until - '$ahead')) < 60 FROM strata.status()"), 't', 'strata.status() says until when');
for my $case (
	[ "SET strata.travel_time = 'now'; $count", '' ], [ "BEGIN; SET LOCAL strata.travel_time = '-0 s'; $count COMMIT", '' ], [ $count, '-c strata.travel_time=now' ],
	[ "SELECT * FROM strata.query_at('now', 'SELECT count(*) FROM t') AS r (n bigint)", '' ], [ "SET strata.travel_lsn = :'l'; $count", '', "SELECT strata.lsn_at('now') AS l \\gset\n" ])
{
	my ($sql, $options, $before) = @$case;
	my ($out, $error) = try_sql($node, ($before // '') . $sql, options => $options);
	is($out, 1, "now is before both: $sql $options");
	like($error, $told, 'and the session is told');
}
($out, $error) = try_sql($node, "SET strata.travel_lsn = '$lsn'; $count");
is("$out$error", '3', 'an LSN reaches everything, and nothing is said');

# Past it.
set_clock(7200);
($out, $error) = try_sql($node, "SET strata.travel_time = 'now'; $count");
is("$out$error", '3', 'when the clock has passed it, now is everything');
is($node->safe_psql('postgres', 'SELECT clock_behind_until IS NULL FROM strata.status()'), 't', 'and strata.status() is silent again');

# A date alone at connection: it is the time that a blank has cut off, perhaps. The clock passes a midnight.
$node->safe_psql('postgres', 'INSERT INTO t VALUES (4)');
my ($date, $until) = split /\|/, $node->safe_psql('postgres', "SELECT current_date + 1, ceil(extract(epoch FROM (current_date + 1)::timestamptz - clock_timestamp()))::int");
set_clock(7200 + $until + 60);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (5)');
($out, $error) = try_sql($node, $count, options => "-c strata.travel_time=$date");
is($out, 4, 'a date alone at connection is its midnight');
like($error, qr/NOTICE: .*the session sees the cluster as of $date 00:00:00\+00\n.*HINT: .*A blank ends a value in PGOPTIONS/s, 'and the session is told');
like((try_sql($node, $count, options => "-c strata.travel_time=$date 00:30"))[1], qr/FATAL: .*invalid command-line argument/, 'a blank before the time of day is an error');
($out, $error) = try_sql($node, $count, options => "-c strata.travel_time=${date}T00:00:00");
is("$out$error", '4', 'with its time, nothing is said');
($out, $error) = try_sql($node, "SET strata.travel_time = '$date'; $count");
is("$out$error", '4', 'nor by SET, of which nothing is cut off');
log_is_clean($node);
$node->stop;
done_testing();
