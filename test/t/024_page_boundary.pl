# Where a WAL record ends with its page, pg_current_wal_insert_lsn() points behind the next page's header: that is now.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('boundary');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t AS SELECT 5 AS a');

sub insert_position { return $node->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() - '0/0'"); }
sub emit { return $node->safe_psql('postgres', "SELECT pg_logical_emit_message(false, '', repeat('x', $_[0]))"); }

my $head;    # of a record of more than 255 bytes
my ($at, $lsn);
for (1 .. 100)
{
	my $before = insert_position();
	my $room = 8192 - $before % 8192;
	my $size = defined $head && $room > $head + 256 ? $room - $head : 1000;
	emit($size);
	my $after = insert_position();
	# Another record may have come between.
	my $took = $after - $before - $size;
	$head = $took if int($before / 8192) == int($after / 8192) && (!defined $head || $took < $head);
	$lsn = lsn_in($node);
	$at = $after % 8192;
	last if $at == 24;
}
is($at, 24, 'a record ends with its page');
is(at_lsn($node, $lsn, 'SELECT a FROM t'), '5', 'travel goes there');
like($node->safe_psql('postgres', "SELECT strata.wait_for('$lsn')"), qr{^[0-9A-F]+/[0-9A-F]+$}, 'and history reaches it');
my ($out, $error) = try_sql($node, "SET strata.travel_lsn = '0/7FFFFFFF'");
like($error, qr/ERROR:  22023: cannot travel to LSN 0\/7FFFFFFF: no WAL has been written there yet/, 'but not beyond');
log_is_clean($node);
$node->stop;
done_testing();
