# Right after the very first start, a script may do its work, remember the time, and travel there.
use strict;
use warnings;

use Fcntl ();
use File::Path qw(rmtree);
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# What the first session does at once.
my $script = <<'SQL';
CREATE TABLE demo (id serial PRIMARY KEY, name text);
INSERT INTO demo (name) VALUES ('Alice');
SELECT now() AS moment \gset
INSERT INTO demo (name) VALUES ('Bob');
DROP TABLE demo;
SET strata.travel_time = :'moment';
SELECT name FROM demo;
SQL

# The process of a server whose title has this in it; 0 when there is none.
sub process_like
{
	my ($node, $like) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	for my $pid (split ' ', slurp_file("/proc/$postmaster/task/$postmaster/children"))
	{
		my $title = eval { slurp_file("/proc/$pid/cmdline") } // next;
		return $pid if $title =~ $like;
	}
	return 0;
}

# Of the ingest worker.
sub niceness
{
	my ($node) = @_;
	my $pid = process_like($node, qr/strata ingest/) or die 'there is no ingest worker';
	return (split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\)//sr)[16];
}

for my $round (1 .. 2)
{
	my $node = new_node("first$round", start => 0);
	$node->start;
	my ($out, $error) = try_sql($node, $script, stop => 1);
	is("$out$error", 'Alice', "what the first session does at once after the first start can be travelled to (round $round)");
	$node->stop;
}

# A baseline that takes longer: the worker comes to a file that it cannot read before the test writes to it. It does not
# lower its priority while a session waits for it.
my $slow = new_node('slow', start => 0, log_min_messages => 'debug1');
my $pipe = $slow->data_dir . '/base/5/99999999';
POSIX::mkfifo($pipe, 0600) or die "could not make a pipe: $!";
$slow->start;
my ($out, $error) = ('', '');
my $psql = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $slow->connstr('postgres') ],
	'<', \$script, '>', \$out, '2>', \$error, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
my $waits = qr/strata: the session waits for the first history/;
ok($slow->wait_for_log($waits, 0), 'the first session waits for the baseline');
is(niceness($slow), 0, 'who makes it has the priority of a session');
my $end;
ok(poll_until(sub { sysopen($end, $pipe, Fcntl::O_WRONLY() | Fcntl::O_NONBLOCK()) }), 'it is at the file that holds it');
ok(process_like($slow, qr/authentication/) != 0, 'and the session is still not let in');
close $end;
$psql->finish;
is("$out$error", "Alice\n", 'what the session does then can be travelled to');
ok(poll_until(sub { niceness($slow) == 10 }), 'from then on it has the lower priority');
unlink $pipe;
$slow->stop;

# Sessions that begin take no lock for that: no worker that stands still with the mutex in its hands keeps them waiting.
my $later = new_node('later');
my ($held, $free) = map { $later->data_dir . "/../$_" } qw(held free);
$later->safe_psql('postgres',
	"CREATE FUNCTION hold_mutex(text, text) RETURNS void AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_hold_mutex', 'strata_test_hold_mutex' LANGUAGE c");
my $holder = $later->background_psql('postgres');
$holder->query_until(qr/asked/, "\\echo asked\nSELECT hold_mutex('$held', '$free');\n");
ok(poll_until(sub { -e $held }), 'the mutex is held');
my (undef, $one) = $later->psql('postgres', 'SELECT 1', connstr => $later->connstr('postgres') . ' connect_timeout=10');
append_to_file($free, '');
is($one, '1', 'a session begins while a worker holds the mutex');
$holder->quit;

# A standby has no history before it is promoted, and nobody waits for one.
$later->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($later, 'copy', has_streaming => 1);
rmtree($standby->data_dir . '/pg_strata');
$standby->append_conf('postgresql.conf', 'log_min_messages = debug1');
$standby->start;
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'a standby takes connections');
unlike(slurp_file($standby->logfile), $waits, 'and no session waits');
$standby->stop;
$later->stop;

# A server that cannot keep history does not keep its sessions waiting.
# It says so before the end of the ten seconds in which it would be waited for: a session that finds it at work, in the
# first moments, is let in then.
my $node = new_node('without', start => 0, wal_level => 'minimal', max_wal_senders => 0, log_min_messages => 'debug1');
$node->start;
ok($node->wait_for_log(qr/WARNING:  .*strata: /, 0), 'a server without history says so');
my $log = -s $node->logfile;
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'it takes connections');
unlike(substr(slurp_file($node->logfile), $log), $waits, 'and no session waits');
$node->stop;

done_testing();
