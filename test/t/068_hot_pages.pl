# A page that changes all the time is rebuilt from an image nearby, also where nothing of it is in layer files yet.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# What the code says: in memory an image when more than so many versions have come, as soon as ingest is at the end of WAL;
# in layers one for so many versions.
my $bound = 512;
my $bound_in_layers = 192;
# Versions that one burst of the load below adds, at least.
my $burst = 1000;

my $node = new_node('hot', 'strata.compaction' => 'off', autovacuum => 'off', checkpoint_timeout => '1h');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE hot (id int PRIMARY KEY, n int);
INSERT INTO hot SELECT i, 0 FROM generate_series(1, 5) i;
CREATE PROCEDURE work(rounds int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. rounds LOOP
    UPDATE hot SET n = n + 1 WHERE id = 1 + i % 5;
    IF i % 7 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
  END LOOP;
END $$;
SQL
my $query = q{SELECT sum(n), string_agg(id || ':' || n, ',' ORDER BY id) FROM hot};

# How many versions a reader of the page needs at that moment.
sub versions_at
{
	my ($lsn) = @_;
	return $node->safe_psql('postgres', "SELECT versions FROM strata.rebuild_cost('hot', 0, '$lsn')");
}

my @moments;
for (1 .. 12)
{
	$node->safe_psql('postgres', "CALL work($burst)");
	my $lsn = reached_lsn($node);
	push @moments, { lsn => $lsn, rows => $node->safe_psql('postgres', $query) };
	ok(poll_until(sub { versions_at($lsn) <= $bound }), "burst $_: the page gets an image");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM strata.layers() WHERE level = 0'), 0, 'all of it is in memory');

sub longest_chain
{
	my $longest = 0;
	for my $moment (@moments)
	{
		my $versions = versions_at($moment->{lsn});
		$longest = $versions if $versions > $longest;
	}
	return $longest;
}

sub rows_are_right
{
	my ($name) = @_;
	my $wrong = grep { at_lsn($node, $_->{lsn}, $query) ne $_->{rows} } @moments;
	return is($wrong, 0, $name);
}

cmp_ok(longest_chain(), '<=', $bound, 'so no chain begins where history does');
rows_are_right('every moment has its rows, and the status of their transactions');
no_mismatch($node);

# What was in memory is read anew from WAL after a restart.
$node->restart;
wait_for_history($node);
reached_lsn($node);
rows_are_right('so it is after a restart');
no_mismatch($node);

# Read anew as a backlog, it gets no images in memory, and goes into a layer as soon as that is behind.
my $flushed = q{SELECT count(*) FROM strata.layers() WHERE level = 0};
$node->append_conf('postgresql.conf', "strata.memtable_size = '16MB'");
$node->restart;
wait_for_history($node);
ok($node->poll_query_until('postgres', "SELECT ($flushed) > 0"),
	'a backlog at the start is flushed, however small the part of the memtable that it takes');
cmp_ok(longest_chain(), '<=', $bound_in_layers + 1, 'where chains are shorter still');
rows_are_right('and every moment has its rows');
no_mismatch($node);

# And what is flushed because the memtable is full.
$node->safe_psql('postgres', "CALL work($burst)");
push @moments, { lsn => reached_lsn($node), rows => $node->safe_psql('postgres', $query) };
$node->append_conf('postgresql.conf', "strata.memtable_size = '4MB'");
$node->restart;
wait_for_history($node);
my $before = $node->safe_psql('postgres', $flushed);
$node->safe_psql('postgres', 'CALL work(20000)');
reached_lsn($node);
ok($node->poll_query_until('postgres', "SELECT ($flushed) > $before"), 'more is flushed under load');
cmp_ok(longest_chain(), '<=', $bound_in_layers + 1, 'where chains are as short');
rows_are_right('with all the moments');
no_mismatch($node);

log_is_clean($node);
$node->stop;
done_testing();
