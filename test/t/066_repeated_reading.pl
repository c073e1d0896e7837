# A page comes from one layer map: where garbage collection replaces the layer map between the reading of what began the page's history
# and the reading of its versions, both are read again.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $point = 'strata-events-read';
my $node = new_node('repeated', 'strata.memtable_size' => "'4MB'", 'strata.compaction' => 'off', checkpoint_timeout => '1h');
# A page that is changed gets no image, which would hide what came before it.
$node->append_conf('postgresql.conf', 'full_page_writes = off');
$node->restart;
wait_for_history($node);
prepare_churn($node);

# All up to the LSN is in layers, and what follows begins another one.
sub into_layers
{
	my ($lsn) = @_;
	do { churn($node, 1) } until $node->safe_psql('postgres', "SELECT max(lsn_end) > '$lsn' FROM strata.layers()") eq 't';
	return;
}

# Until garbage is collected, the copy has its pages in the source only.
$node->safe_psql('postgres', 'CREATE EXTENSION injection_points; CREATE DATABASE source');
$node->safe_psql('source', <<'SQL');
CREATE TABLE untouched AS SELECT i, 'copied' t FROM generate_series(1, 100) i;
CREATE TABLE touched AS TABLE untouched;
VACUUM FREEZE untouched, touched;
SQL
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE source STRATEGY file_copy');
$node->safe_psql('source', "UPDATE untouched SET t = 'later'; UPDATE touched SET t = 'later'");
my $copied = reached_lsn($node);
into_layers($copied);
my $cutoff = reached_lsn($node);
$node->safe_psql('copy', "UPDATE touched SET t = 'touched' WHERE i <= 10");
my $at = reached_lsn($node);
into_layers($at);

sub session_at
{
	my ($lsn) = @_;
	my $session = $node->background_psql('copy', on_error_stop => 0);
	$session->query_safe("SET strata.travel_lsn = '$lsn'; SELECT 1");
	return $session;
}

# Retention cannot go beyond the LSN that this session leases.
my $leasing = session_at($cutoff);

# Sessions in the middle of reading a page each, all that is in catalogs being known to them.
sub held { return "SELECT count(*) = $_[0] FROM pg_stat_activity WHERE wait_event = '$point'"; }
my %reading;
for my $table ('untouched', 'touched')
{
	$reading{$table} = session_at($at);
	$reading{$table}->query_safe("EXPLAIN SELECT t, count(*) FROM $table GROUP BY t ORDER BY t");
}
$node->safe_psql('postgres', "SELECT injection_points_attach('$point', 'wait')");
for my $table ('untouched', 'touched')
{
	$reading{$table}->query_until(qr/begun/, "\\echo begun\nSELECT t, count(*) FROM $table GROUP BY t ORDER BY t;\n");
}
ok($node->poll_query_until('postgres', held(2)), 'two sessions know what began the history of a page each');

# The copy gets pages of its own, and those of the source from before go.
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.retention_time = '1s'; SELECT pg_reload_conf()});
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM strata.layers() WHERE NOT image AND lsn_begin <= '$copied'"),
	'meanwhile garbage collection moves that page from one database to the other');
$node->safe_psql('postgres', "SELECT injection_points_detach('$point')");
for my $left (1, 0)
{
	$node->safe_psql('postgres', "SELECT injection_points_wakeup('$point')");
	$node->poll_query_until('postgres', held($left)) or die 'a session does not go on';
}

sub told
{
	my ($session) = @_;
	my $told = $session->query_until(qr/^ended/m, "\\echo ended\n") . $session->{stderr};
	$session->quit;
	return $told;
}
is(told($reading{untouched}), "copied|100\nended\n", 'a page that is nowhere any more is looked for again');
is(told($reading{touched}), "copied|90\ntouched|10\nended\n", 'and so is one whose changes are all that is left');
$leasing->quit;
is($node->safe_psql('copy', 'SELECT t, count(*) FROM touched GROUP BY t ORDER BY t'), "copied|90\ntouched|10", 'the present is as it was');
log_is_clean($node);
$node->stop;
done_testing();
