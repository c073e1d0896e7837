# A server whose calls of the operating system fail for files that a test chooses (test/faults/io_faults.cc).
package StrataFaults;

use strict;
use warnings;

use Errno ();
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;

our @EXPORT = qw(new_faulty_node start_faulty fail_io heal_io failed_calls leave_room);

# As io_faults.cc has them.
my %operations = (create => 1, write => 2, sync => 4, read => 8, rename => 16, remove => 32, access => 64);

my $control;

# As new_node(), with nothing failing yet.
sub new_faulty_node
{
	my ($name, %conf) = @_;
	my $start = delete $conf{start} // 1;
	my $node = new_node($name, %conf, start => 0);
	$control = PostgreSQL::Test::Utils::tempdir . '/faults';
	append_to_file($control, pack('l< L< Q< a112 Q<', 0, 0, 0, '', 0));
	if ($start)
	{
		start_faulty($node);
		wait_for_history($node);
	}
	return $node;
}

sub start_faulty
{
	my ($node) = @_;
	local $ENV{STRATA_IO_FAULTS} = $control;
	local $ENV{LD_PRELOAD} = "$ENV{STRATA_TEST_LIBRARIES}/strata_test_io_faults.so";
	$node->start;
	return;
}

# From now on the operations, names of %operations separated by spaces, fail on files with this in their path,
# or with a leading '$' at its end.
sub fail_io
{
	my ($error, $operations, $path) = @_;
	my $bits = 0;
	$bits |= $operations{$_} // die "no operation $_" for split ' ', $operations;
	_write(Errno->can($error)->(), $bits, $path);
	return;
}

sub heal_io { _write(0, 0, ''); return; }

# How many calls have failed since fail_io().
sub failed_calls { return unpack('x8 Q<', slurp_file($control)); }

# From now on every file system says that it has so many bytes free; 0: what it has.
sub leave_room
{
	my ($bytes) = @_;
	open(my $file, '+<:raw', $control) or die "$control: $!";
	sysseek($file, 128, 0);
	syswrite($file, pack('Q<', $bytes));
	close $file;
	return;
}

sub _write
{
	my ($error, $bits, $path) = @_;
	open(my $file, '+<:raw', $control) or die "$control: $!";
	# The error last: it is what switches the rest on.
	syswrite($file, pack('l<', 0));
	syswrite($file, pack('L< Q< a112', $bits, 0, $path));
	sysseek($file, 0, 0);
	syswrite($file, pack('l<', $error));
	close $file;
	return;
}

1;
