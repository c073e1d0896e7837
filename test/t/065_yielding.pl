# Where sessions want all processors, the workers do their work in time slices with sleeps between; where nobody does, or history
# is waited for, without.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('giving_way', log_statement => 'none', 'strata.memtable_size' => "'8MB'", max_wal_size => "'2GB'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE many (id int PRIMARY KEY, filler text);
INSERT INTO many SELECT i, repeat('f', 400) FROM generate_series(1, 4000) i;
CREATE PROCEDURE spin() LANGUAGE plpgsql AS $$
DECLARE
  x bigint := 0;
BEGIN
  LOOP
    FOR i IN 1 .. 100000 LOOP
      x := x + i;
    END LOOP;
  END LOOP;
END $$;
CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    UPDATE many SET filler = reverse(filler) WHERE id % 100 = (random() * 99)::int;
    COMMIT;
  END LOOP;
END $$;
SQL

# Two sessions for each processor that do nothing but compute, and one that writes.
my $processors = () = slurp_file('/proc/cpuinfo') =~ /^processor\s*:/mg;
my @sessions;
for my $sql (('CALL spin()') x (2 * ($processors || 8)), 'SET synchronous_commit = off; CALL write()')
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_until(qr/begun/, "\\echo begun\n$sql;\n");
	push @sessions, $session;
}

ok(waits_for($node, "strata $_", 'StrataGivingWay'), "$_ sleeps in the middle of its work") for qw(ingest flush compaction);

# Who waits for history is not kept waiting by sleeps, however much else goes on.
my $end = lsn_in($node);
$node->safe_psql('postgres', "SELECT strata.wait_for('$end')");
is(at_lsn($node, $end, 'SELECT count(*) FROM many'), '4000', 'and history is whole');

$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%' OR query LIKE 'SET synchronous%'});
eval { $_->quit } for @sessions;

ok(waits_for($node, 'strata ingest', 'StrataIngestWal'), 'ingest comes to the end of WAL');
is(state_of($node, "state || coalesce(last_error, '-')"), 'running-', 'history runs, with no error');

$node->stop;
done_testing();
