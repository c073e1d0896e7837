# The recipes of doc/recovery.md, as they stand there, each after its mishap.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# The blocks of the section whose heading begins so, with a moment in place of '-10 minutes'.
my $document = slurp_file("$ENV{STRATA_SOURCE}/doc/recovery.md");
my %sections = map { /^(.*)\n/ ? ($1 => $_) : () } split /^## /m, $document;
my %run;

sub recipe
{
	my ($heading, $number, $moment) = @_;
	my ($name) = grep { /^\Q$heading\E/ } sort keys %sections or die "no section '$heading'";
	my @blocks = $sections{$name} =~ /^```\w+\n(.*?)^```/msg;
	$run{$name}++;
	return $blocks[$number] =~ s/-10(\\ | )minutes/my $blank = $1; $moment =~ s! !$blank!gr/ger;
}

my $node = new_node('recipes');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customers, total int, note text);
CREATE TABLE lines (order_id int REFERENCES orders ON DELETE CASCADE);
CREATE VIEW totals AS SELECT customer, sum(total) FROM orders GROUP BY 1;
INSERT INTO customers SELECT generate_series(0, 9);
INSERT INTO orders (customer, total, note) SELECT i % 10, i, 'note ' || i FROM generate_series(1, 100) i;
CREATE SCHEMA shop; CREATE TABLE shop.t (a int); INSERT INTO shop.t VALUES (1);
CREATE ROLE clerk; GRANT SELECT, UPDATE ON orders TO clerk;
SQL
my $state = "SELECT count(*), sum(total), count(note), (SELECT sum(sum) FROM totals) FROM orders";
my $held = $node->safe_psql('postgres', $state);

# After the mishap and the block of the section, the query prints what is expected.
sub mends
{
	my ($mishap, $heading, $number, $query, $expected) = @_;
	my $then = reached_lsn($node);
	$node->safe_psql('postgres', $mishap);
	my ($out, $error) = try_sql($node, recipe($heading, $number, $then) . ";\n\\t\n\\a\n\\t\n\\a\n");
	is($error, '', "recipe runs: $heading");
	is($node->safe_psql('postgres', $query), $expected, "and mends it: $mishap");
	return;
}

mends('DELETE FROM orders', 'DELETE without', 0, $state, $held);
mends('UPDATE orders SET total = 0', 'UPDATE without', 0, "SELECT count(*) FROM orders WHERE total > 0 AND customer = 7", 10);
$node->safe_psql('postgres', 'UPDATE orders SET total = id');
mends('UPDATE orders SET total = 0; INSERT INTO orders (customer) VALUES (1), (2)', 'UPDATE without', 1, $state, $held);
mends('TRUNCATE orders, lines', 'TRUNCATE', 0, $state, $held);
mends('DROP TABLE orders CASCADE', 'DROP TABLE', 0, $state, $held);
mends('DROP TABLE orders CASCADE; CREATE TABLE orders (id int)', 'DROP TABLE', 1, 'SELECT count(*), sum(total) FROM orders_old', '100|5050');
$node->safe_psql('postgres', q{DROP TABLE orders; ALTER TABLE orders_old RENAME TO orders; CREATE VIEW totals AS SELECT customer, sum(total) FROM orders GROUP BY 1});
mends('DROP SCHEMA shop CASCADE', 'DROP SCHEMA', 0, 'SELECT * FROM shop.t', 1);
mends('ALTER TABLE orders DROP COLUMN note', 'DROP COLUMN', 0, $state, $held);
mends('UPDATE orders SET total = -1; ALTER TABLE orders DROP COLUMN note, ADD COLUMN remark text; INSERT INTO orders (customer, total) VALUES (1, 7)', 'A bad migration', 0,
	'SELECT count(*), sum(total), count(note) FROM orders', '101|5057|100');
mends('DROP OWNED BY clerk; DROP ROLE clerk', 'DROP ROLE', 0, "SELECT has_table_privilege('clerk', 'orders', 'SELECT, UPDATE')", 't');

# Databases, by programs.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE kept AS SELECT 7 AS a');
my $then = now_in($node);
$node->safe_psql('postgres', 'DROP DATABASE shop');
{
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port);
	my $script = recipe('DROP DATABASE', 0, $then);
	is(system_log('sh', '-e', '-c', $script), 0, 'recipe runs: DROP DATABASE');
}
is($node->safe_psql('shop', 'SELECT a FROM kept'), 7, 'and brings it back');
is_deeply([ grep { !$run{$_} } grep { !/^# / } sort keys %sections ], [], 'every recipe has been run');
log_is_clean($node);
$node->stop;
done_testing();
