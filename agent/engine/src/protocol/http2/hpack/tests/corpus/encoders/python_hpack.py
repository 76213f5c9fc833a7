import sys
from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple

fields = []
for line in open(sys.argv[1]):
    word = line.split()
    if word[0] == "S":
        encoder = Encoder()
        print(line.strip())
    elif word[0] == "T":
        encoder.header_table_size = int(word[1])
    elif word[0] in "FN":
        field = HeaderTuple if word[0] == "F" else NeverIndexedHeaderTuple
        fields.append(field(bytes.fromhex(word[1]), bytes.fromhex("".join(word[2:]))))
    else:
        print(encoder.encode(fields).hex())
        fields = []
