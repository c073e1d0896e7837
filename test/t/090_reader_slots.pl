# What a process holds of the store is given back however it ends.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('slots', 'strata.memtable_size' => "'4MB'");
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION strata;
CREATE TABLE pages (id int PRIMARY KEY, t text);
INSERT INTO pages SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
UPDATE pages SET t = t || 'x';
CREATE FUNCTION slots_of(int, bigint) RETURNS int AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_reader_slots', 'strata_test_reader_slots' LANGUAGE c;
SQL

sub slots_of
{
	my ($pid) = @_;
	return $node->safe_psql('postgres', "SELECT slots_of($pid, size) FROM pg_shmem_allocations WHERE name = 'strata memtable'");
}

sub worker { return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata $_[0]'"); }
ok(poll_until(sub { slots_of(worker($_)) > 0 }), "the worker $_ has begun") for ('ingest', 'compaction');
my $all = slots_of(0);
my $then = now_in($node);

sub ends_without_a_slot
{
	my ($what, $pid) = @_;
	ok(poll_until(sub { slots_of($pid) > 0 }), "$what has a slot");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'it has ended');
	is(slots_of($pid), 0, 'and has none then');
	return;
}

my %loops = (
	'strata.verify()' => 'PERFORM count(*) FROM strata.verify();',
	'strata.check_pages()' => "PERFORM count(*) FROM strata.check_pages('pages');",
	'strata.status()' => 'PERFORM * FROM strata.status();');
for my $what (sort keys %loops)
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_until(qr/begun/, "\\echo begun\nDO \$\$ BEGIN LOOP $loops{$what} END LOOP; END \$\$;\n");
	ends_without_a_slot($what, $pid);
	eval { $session->quit };
}

my $session = traveller($node, $then);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/begun/, "\\echo begun\nDO \$\$ BEGIN LOOP PERFORM count(*) FROM pages; END LOOP; END \$\$;\n");
ends_without_a_slot('a travelling session', $pid);
eval { $session->quit };

# A client that is lost: its process meets that when it writes.
$session = $node->background_psql('postgres', on_error_stop => 0);
$pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe("SET client_connection_check_interval = '10ms'");
$session->query_until(qr/begun/, "\\echo begun\nDO \$\$ BEGIN LOOP PERFORM count(*) FROM strata.verify(); END LOOP; END \$\$;\n");
ok(poll_until(sub { slots_of($pid) > 0 }), 'a session has a slot');
$session->{run}->kill_kill;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'its client is lost');
is(slots_of($pid), 0, 'and it has none then');

for my $worker ('ingest', 'compaction', 'flush')
{
	# Not every worker reads at all times.
	my $old = worker($worker);
	ok($worker eq 'flush' || poll_until(sub { slots_of($old) > 0 }), "the worker $worker has what it needs");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'strata $worker' AND pid <> $old"), 'it begins anew');
	is(slots_of($old), 0, 'and what it had is free');
}
wait_for_history($node);

# Of all slots, those of the workers are taken: sessions have gone.
ok(poll_until(sub { slots_of(0) >= $all }), 'no slot stays taken');
is($node->safe_psql('postgres', 'SELECT count(*) FROM strata.verify() WHERE problem IS NOT NULL'), 0, 'the store is sound');
log_is_clean($node);
done_testing();
