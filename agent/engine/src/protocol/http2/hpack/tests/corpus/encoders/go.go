package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

func text(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	var encoder *hpack.Encoder
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word := append(strings.Fields(lines.Text()), "")
		switch word[0] {
		case "S":
			encoder = hpack.NewEncoder(&out)
			fmt.Println(lines.Text())
		case "T":
			size, _ := strconv.Atoi(word[1])
			encoder.SetMaxDynamicTableSizeLimit(uint32(size))
			encoder.SetMaxDynamicTableSize(uint32(size))
		case "F", "N":
			field := hpack.HeaderField{Name: text(word[1]), Value: text(word[2]), Sensitive: word[0] == "N"}
			encoder.WriteField(field)
		case "B":
			fmt.Println(hex.EncodeToString(out.Bytes()))
			out.Reset()
		}
	}
}
