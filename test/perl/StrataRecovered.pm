# An ordinary server (strata off) that is recovered from a base backup and moves from point to point: it replays to the
# recovery target, pauses there as a hot standby, is stopped, and goes on from where it was.
package StrataRecovered;

use strict;
use warnings;

use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

my $clones = 0;

# From the backup named base of a node with an archive.
sub new
{
	my ($class, $node) = @_;
	my $server = PostgreSQL::Test::Cluster->new($node->name . '_recovered' . ++$clones);
	$server->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$server->append_conf('postgresql.conf', <<'CONF');
strata_enabled = off
archive_mode = off
hot_standby = on
recovery_target_action = pause
statement_timeout = '120s'
include = 'oracle.conf'
CONF
	$server->append_conf('postgresql.conf', "shared_preload_libraries = '$ENV{STRATA_TEST_LIBRARIES}/strata_test_frozen.so'");
	return bless { server => $server, at_end => 0 }, $class;
}

sub server { return $_[0]{server}; }

# Replays up to a recovery target, and returns the LSN that was reached. $setting is lsn (exclusive) or time.
# REQUIRES: the target is later than those before; the server is stopped, and at_end() is false.
sub recover_to
{
	my ($self, $setting, $value) = @_;
	my $server = $self->{server};
	my $conf = $server->data_dir . '/oracle.conf';
	unlink $conf;
	append_to_file($conf, $setting eq 'lsn'
		? "recovery_target_lsn = '$value'\nrecovery_target_inclusive = off\n"
		: "recovery_target_time = '$value'\n");
	$server->start;
	my $deadline = time + 300;
	for (;;)
	{
		if (!-e $server->data_dir . '/recovery.signal')
		{
			# No snapshot for a hot standby could be had at this point (too many subtransactions were running), so recovery
			# came to its end instead of pausing. What it left is still the state at the point, but it cannot go on.
			$self->{at_end} = 1;
			$server->poll_query_until('postgres', 'SELECT true') or die 'the recovered server does not start';
			last;
		}
		# A session may fall victim to what recovery replays meanwhile.
		my (undef, $state) = $server->psql('postgres', 'SELECT pg_get_wal_replay_pause_state()');
		last if ($state // '') eq 'paused';
		die "recovery does not arrive at $setting $value" if time > $deadline;
		sleep 0.05;
	}
	return $server->safe_psql('postgres', 'SELECT pg_last_wal_replay_lsn()');
}

# Whether recovery has ended, so that there is no going on.
sub at_end { return $_[0]{at_end}; }

sub stop { $_[0]{server}->stop('fast'); return; }

# REQUIRES: the server is stopped.
sub discard { rmtree($_[0]{server}->data_dir); return; }

1;
