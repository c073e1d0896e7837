# Right after the very first start, a script may do its work, remember the time, and travel there.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

for my $round (1 .. 3)
{
	my $node = new_node("first$round", start => 0);
	$node->start;
	my ($out, $error) = try_sql($node, <<'SQL', stop => 1);
CREATE TABLE demo (id serial PRIMARY KEY, name text);
INSERT INTO demo (name) VALUES ('Alice');
SELECT now() AS moment \gset
INSERT INTO demo (name) VALUES ('Bob');
DROP TABLE demo;
SET strata.travel_time = :'moment';
SELECT name FROM demo;
SQL
	is("$out$error", 'Alice', "what the first session does at once after the first start can be travelled to (round $round)");
	$node->stop;
}

# Only for a moment after that start do sessions ask for history when they begin: no worker that stands still with the
# mutex in its hands keeps them waiting later.
my $later = new_node('later');
my ($held, $free) = map { $later->data_dir . "/../$_" } qw(held free);
$later->safe_psql('postgres',
	"CREATE FUNCTION hold_mutex(text, text) RETURNS void AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_hold_mutex', 'strata_test_hold_mutex' LANGUAGE c");
$later->poll_query_until('postgres', q{SELECT now() - pg_postmaster_start_time() > interval '3 s'});
my $holder = $later->background_psql('postgres');
$holder->query_until(qr/asked/, "\\echo asked\nSELECT hold_mutex('$held', '$free');\n");
ok(poll_until(sub { -e $held }), 'the mutex is held');
my (undef, $one) = $later->psql('postgres', 'SELECT 1', connstr => $later->connstr('postgres') . ' connect_timeout=10');
append_to_file($free, '');
is($one, '1', 'a session begins while a worker holds the mutex');
$holder->quit;
$later->stop;

# A server that cannot keep history does not keep its sessions waiting.
my $node = new_node('without', start => 0, wal_level => 'minimal', max_wal_senders => 0);
$node->start;
my $begin = time;
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'a server without history takes connections');
cmp_ok(time - $begin, '<', 10, 'and takes them soon');
$node->stop;

done_testing();
