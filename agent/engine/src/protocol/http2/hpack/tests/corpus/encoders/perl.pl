use strict;
use warnings;
use Protocol::HTTP2::Connection;
use Protocol::HTTP2::Constants qw(:endpoints :settings);
use Protocol::HTTP2::HeaderCompression qw(headers_encode);

my ($connection, @fields);
my $known;
while (<>) {
    my ($kind, $name, $value) = split;
    if ($kind eq 'S') {
        $connection = Protocol::HTTP2::Connection->new(CLIENT);
        $known      = $name ne 'turnover' && $name ne 'random';
        print if $known;
    } elsif ($kind eq 'F') {
        push @fields, pack('H*', $name), pack('H*', $value // '');
    } elsif ($kind eq 'B') {
        print unpack('H*', headers_encode($connection->encode_context, [@fields])), "\n" if $known;
        @fields = ();
    }
}
