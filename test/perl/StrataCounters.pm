# Servers whose counters of transactions or multixacts are about to wrap around, and means to advance them further.
#
# The counters are set with pg_resetwal before the cluster's first start with history, as pg_resetwal's manual has it.
package StrataCounters;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

our @EXPORT = qw(new_node_near_xid new_node_near_multixact freeze_everything add_consume_xids slru_segments);

# How far the counter of transactions goes in one step, so that no row ever seems to lie in the future: less than 2^31.
my $xids_at_a_time = 3 * 2**29;

# A started node with history whose next transaction ID is about $xid (as a 64-bit number): the first of a segment of
# pg_xact, which therefore needs no file before the first transaction comes.
sub new_node_near_xid
{
	my ($name, $xid, %conf) = @_;
	my $node = _new_node_without_history($name, %conf);
	for (my $next = $xids_at_a_time;; $next += $xids_at_a_time)
	{
		$next = $xid if $next > $xid;
		$next -= $next % 2**20;
		_reset($node, '-x' => $next % 2**32, '-e' => int($next / 2**32));
		last if $next + 2**20 > $xid;
	}
	return _with_history($node);
}

# The same for multixacts and their members.
sub new_node_near_multixact
{
	my ($name, $multixact, $member, %conf) = @_;
	my $node = _new_node_without_history($name, %conf);
	_zero_segment($node, 'offsets', int($multixact / (32 * 8192 / 4)));
	_zero_segment($node, 'members', int($member / (32 * int(8192 / 20) * 4)));
	_reset($node, '-m' => "$multixact,$multixact", '-O' => $member);
	return _with_history($node);
}

sub _new_node_without_history
{
	my ($name, %conf) = @_;
	my $node = new_node($name, %conf, start => 0);
	$node->append_conf('postgresql.conf', 'strata_enabled = off');
	$node->start;
	freeze_everything($node);
	return $node;
}

sub _reset
{
	my ($node, @options) = @_;
	$node->stop;
	system_or_bail('pg_resetwal', @options, '--pgdata' => $node->data_dir);
	$node->start;
	freeze_everything($node);
	return;
}

sub _zero_segment
{
	my ($node, $folder, $segment) = @_;
	my $path = sprintf('%s/pg_multixact/%s/%04X', $node->data_dir, $folder, $segment);
	open(my $file, '>', $path) or die "could not create $path: $!";
	print $file "\0" x (32 * 8192);
	close($file) or die "could not write $path: $!";
	return;
}

sub _with_history
{
	my ($node) = @_;
	$node->append_conf('postgresql.conf', 'strata_enabled = on');
	$node->restart;
	wait_for_history($node);
	return $node;
}

# Freezes every row of every database, and lets PostgreSQL remove what it then needs no longer of its transaction logs.
sub freeze_everything
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
	system_or_bail('vacuumdb', '--all', '--freeze', '--quiet', '--maintenance-db', $node->connstr('postgres'));
	$node->safe_psql('postgres', 'CHECKPOINT');
	return;
}

# consume_xids(bigint) of PostgreSQL's own test of wraparound, compiled here: it takes transaction IDs one after another
# where something happens to them, and in steps in between.
sub add_consume_xids
{
	my ($node) = @_;
	my $source = "$ENV{STRATA_POSTGRESQL}/source/src/test/modules/xid_wraparound/xid_wraparound.c";
	my $library = PostgreSQL::Test::Utils::tempdir . '/xid_wraparound';
	chomp(my $headers = `pg_config --includedir-server`);
	system_or_bail('cc', '-shared', '-fPIC', '-I', $headers, '-o', "$library.so", $source);
	$node->safe_psql('postgres', "CREATE FUNCTION consume_xids(bigint) RETURNS xid8 AS '$library', 'consume_xids' LANGUAGE c STRICT");
	return;
}

# The files of a folder such as pg_xact, in order.
sub slru_segments
{
	my ($node, $folder) = @_;
	return sort map { basename($_) } glob($node->data_dir . "/$folder/*");
}

1;
