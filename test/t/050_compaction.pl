# Merging the layers of history changes no answer, survives a crash at any time, and leaves few layers.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('compaction', fsync => 'on', log_statement => 'none', log_min_messages => 'debug1',
	'strata.memtable_size' => "'4MB'", 'strata.compaction' => 'off', checkpoint_timeout => '30s');
prepare_churn($node);

my @moments;

sub remember_moment
{
	push @moments, { lsn => reached_lsn($node), rows => $node->safe_psql('postgres', 'SELECT count(*), sum(n), sum(id) FROM many') };
	return;
}

sub layers
{
	my ($where) = @_;
	return $node->safe_psql('postgres', "SELECT count(*) FROM strata.layers() WHERE NOT image AND $where");
}

sub set_compaction
{
	my ($value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET strata.compaction = $value; SELECT pg_reload_conf()");
	return;
}

sub merged
{
	return $node->poll_query_until('postgres',
		'SELECT coalesce(max(runs), 0) < 8 FROM (SELECT count(DISTINCT lsn_begin) AS runs FROM strata.layers() WHERE NOT image GROUP BY level) l');
}

sub every_moment_is_right
{
	my ($what) = @_;
	my @wrong;
	for my $moment (@moments)
	{
		my $now = defined $moment->{pages} ? digest_of_all_pages($node, $moment->{lsn}) : undef;
		push @wrong, "pages at $moment->{lsn}: $now" if defined $now && $now ne $moment->{pages};
		my $rows = at_lsn($node, $moment->{lsn}, 'SELECT count(*), sum(n), sum(id) FROM many');
		push @wrong, "rows at $moment->{lsn}: $rows, not $moment->{rows}" if $rows ne $moment->{rows};
	}
	is(join("\n", @wrong), '', $what);
	return;
}

for (1 .. 4)
{
	churn($node, 2);
	remember_moment();
}
$_->{pages} = digest_of_all_pages($node, $_->{lsn}) for @moments;
like($_->{pages}, qr/^[0-9a-f]{32}$/, 'all pages of a moment can be read') for @moments;
my $bytes = $node->safe_psql('postgres', 'SELECT sum(bytes) FROM strata.layers() WHERE NOT image');
my $before = layers('true');
cmp_ok($before, '>=', 8, 'without compaction layers pile up');
is(layers('level > 0'), 0, 'and none is merged');

set_compaction('on');
ok(merged(), 'the layers are merged');
cmp_ok(layers('true'), '<', $before, 'there are fewer layers afterwards');
cmp_ok(layers('level > 0'), '>', 0, 'at higher levels');
my $bytes_after = $node->safe_psql('postgres', 'SELECT sum(bytes) FROM strata.layers() WHERE NOT image');
cmp_ok($bytes_after, '<', $bytes, 'and they are smaller');
diag("delta layers: $before with $bytes bytes before, " . layers('true') . " with $bytes_after bytes after");
$node->restart;
every_moment_is_right('every page of every moment is the same, to the byte, and so are the rows');
no_mismatch($node, 'every page rebuilt from merged layers equals the page that PostgreSQL has');
no_file_is_left_over($node, 'files that were merged are gone');

# Killed while it merges, again and again.
for my $kill (1 .. 4)
{
	set_compaction('off');
	churn($node, 3);
	remember_moment();
	set_compaction('on');
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_ls_dir('pg_strata') f WHERE f ~ 'delta[1-9].*layer' AND f NOT IN (SELECT name FROM strata.layers())")
	  if $kill % 2;
	my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata compaction'");
	kill_and_wait($node, $pid);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'strata compaction' AND pid <> $pid")
	  or die 'the server did not come back';
	wait_for_history($node);
}
ok(merged(), 'after kill -9 of the worker the layers are merged');
every_moment_is_right('and every moment is right');

# Ended alone: the server goes on.
churn($node, 3);
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'strata compaction'");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'strata compaction'");
ok(merged(), 'after the end of the worker another one merges');
$node->stop('immediate');
$node->start;
wait_for_history($node);
every_moment_is_right('after a crash of the server every moment is right');
no_mismatch($node, 'and every page');
no_file_is_left_over($node);
is($node->safe_psql('postgres', 'SELECT state, last_error FROM strata.status()'), 'running|', 'history runs, with no error');

unlike(slurp_file($node->logfile), qr/layers could not be merged/, 'no merge has failed');
log_is_clean($node, 'was terminated by signal 9');
$node->stop;
done_testing();
