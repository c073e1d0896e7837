# An exception that leaves PostgreSQL's code leaves nothing behind where the next error would go.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('border');
$node->safe_psql('postgres',
	"CREATE FUNCTION error_target() RETURNS bool AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_error_target', 'strata_test_error_target' LANGUAGE c");
my ($out, $error) = try_sql($node, 'SELECT error_target(); SELECT 1 / 0; SELECT error_target();');
is($out, "t\nt", 'errors go where they went before');
like($error, qr/^[^\n]*22012: division by zero/, 'and the session goes on after one');
log_is_clean($node);
done_testing();
