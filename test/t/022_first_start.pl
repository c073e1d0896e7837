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

# A server that cannot keep history does not keep its sessions waiting.
my $node = new_node('without', start => 0, wal_level => 'minimal', max_wal_senders => 0);
$node->start;
my $begin = time;
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'a server without history takes connections');
cmp_ok(time - $begin, '<', 10, 'and takes them soon');
$node->stop;

done_testing();
