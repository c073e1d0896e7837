# PgBouncer between clients and server: two clients at two moments and one in the present, over few connections, never see
# each other's moment. Skipped where PgBouncer is not installed; make check-poolers installs it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
my ($bouncer) = grep { -x } map { "$_/pgbouncer" } split /:/, $ENV{PATH};
plan skip_all => 'pgbouncer is not installed: scripts/deps.sh poolers installs it' unless $bouncer;
my ($major, $minor) = `$bouncer --version` =~ /PgBouncer (\d+)\.(\d+)/ or die 'pgbouncer --version says nothing';
my $can_track = $major > 1 || $minor >= 20;
note("PgBouncer $major.$minor");

my $node = new_node('pooled');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (a int); INSERT INTO t VALUES (1)');
my $user = $node->safe_psql('postgres', 'SELECT current_user');
my @moments = (now_in($node));
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
push @moments, now_in($node);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (3)');
my $folder = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $count = 'SELECT count(*) FROM t';

# Runs PgBouncer with these settings while the code runs.
sub with_bouncer
{
	my ($code, %settings) = @_;
	append_to_file("$folder/users", qq{"$user" ""\n}) unless -e "$folder/users";
	my %all = (listen_port => $port, unix_socket_dir => $folder, unix_socket_mode => '0700', auth_type => 'trust', auth_file => "$folder/users",
		logfile => "$folder/log", pidfile => "$folder/pid", admin_users => $user, default_pool_size => 1, %settings);
	unlink "$folder/ini", "$folder/log";
	append_to_file("$folder/ini", "[databases]\npostgres = host=" . $node->host . ' port=' . $node->port . "\n[pgbouncer]\n" . join('', map { "$_ = $all{$_}\n" } sort keys %all));
	my $run = IPC::Run::start([ $bouncer, "$folder/ini" ], '<', \undef, '>', \my $out, '2>', \my $error);
	my $there = poll_until(sub { -S "$folder/.s.PGSQL.$port" });
	ok($there, 'PgBouncer runs') or diag($error);
	$code->() if $there;
	$run->signal('INT');
	$run->finish;
	return;
}

sub connection { my ($more) = @_; return "host=$folder port=$port dbname=postgres user=$user" . ($more // ''); }

# A session of psql through PgBouncer.
sub client
{
	my ($more) = @_;
	return $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-d', connection($more) ]);
}

# Session mode: a connection of the server belongs to one client; what the next one finds has been reset.
with_bouncer(
	sub {
		my @clients = map { client() } 0 .. 2;
		$clients[$_]->query_safe("SET strata.travel_time = '$moments[$_]'") for 0, 1;
		for my $round (1 .. 3)
		{
			is($clients[$_]->query_safe($count), $_ + 1, "session mode, round $round: client $_ sees its own moment") for 0 .. 2;
		}
		$_->quit for @clients;
		for my $next (1 .. 4)
		{
			my $client = client();
			is($client->query_safe("$count; SHOW strata.travel_time"), "3\n", 'session mode: who gets a used connection is in the present');
			$client->quit;
		}
		my ($out, $error) = run_command([ 'psql', '-XAtq', '-d', connection(" options='-c strata.travel_time=" . ($moments[0] =~ s/ /T/r) . "'"), '-c', $count ]);
		if ($can_track) { ok($out eq '1' || $error =~ /unsupported startup parameter/, 'a moment in the options is honoured or refused'); }
		else { like($error, qr/unsupported startup parameter: options/, 'a moment in the options is refused, not dropped'); }
	},
	pool_mode => 'session', default_pool_size => 3, server_reset_query => 'DISCARD ALL');

# Transaction mode: all share one connection of the server.
with_bouncer(
	sub {
		my @clients = map { client() } 0 .. 2;
		for my $round (1 .. 5)
		{
			is($clients[$_]->query_safe("BEGIN; SET LOCAL strata.travel_time = '$moments[$_]'; $count; COMMIT"), $_ + 1, "transaction mode, round $round: client $_ sees its own moment") for 0, 1;
			is($clients[2]->query_safe($count), 3, "transaction mode, round $round: the third one sees the present");
		}
		# A failed transaction leaves nothing behind.
		$clients[0]->query("BEGIN; SET LOCAL strata.travel_time = '$moments[0]'; SELECT 1 / 0; COMMIT");
		is($clients[2]->query_safe($count), 3, 'nor does an aborted transaction leave its moment behind');
		$_->{stderr} = '' for @clients;
		$_->quit for @clients;
	},
	pool_mode => 'transaction');

# With the moment tracked, a plain SET belongs to the client.
SKIP:
{
	skip "PgBouncer $major.$minor has no track_extra_parameters", 1 unless $can_track;
	with_bouncer(
		sub {
			my @clients = map { client() } 0 .. 2;
			$clients[$_]->query_safe("SET strata.travel_time = '$moments[$_]'") for 0, 1;
			for my $round (1 .. 5)
			{
				is($clients[$_]->query_safe($count), $_ + 1, "tracked, round $round: client $_ sees its own moment") for 0 .. 2;
			}
			$_->quit for @clients;
		},
		pool_mode => 'transaction', track_extra_parameters => 'strata.travel_time, strata.travel_lsn');
}

# Where PgBouncer is told to drop the options, it does: the README warns of that.
with_bouncer(
	sub {
		my ($out) = run_command([ 'psql', '-XAtq', '-d', connection(" options='-c strata.travel_time=" . ($moments[0] =~ s/ /T/r) . "'"), '-c', $count ]);
		is($out, 3, 'ignore_startup_parameters = options drops the moment in silence');
	},
	pool_mode => 'session', ignore_startup_parameters => 'options') unless $can_track;

log_is_clean($node);
$node->stop;
done_testing();
