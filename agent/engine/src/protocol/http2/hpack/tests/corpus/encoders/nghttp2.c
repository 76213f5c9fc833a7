#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *text(const char *hex, size_t *length) {
  uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
  for (*length = 0; hex[*length * 2]; ++*length)
    sscanf(hex + *length * 2, "%2hhx", &bytes[*length]);
  return bytes;
}

int main(int argc, char **argv) {
  FILE *file = fopen(argv[argc - 1], "r");
  static char line[1 << 18], name[1 << 17], value[1 << 17];
  static uint8_t out[1 << 18];
  nghttp2_nv fields[100];
  size_t count = 0;
  nghttp2_hd_deflater *deflater = NULL;
  while (fgets(line, sizeof line, file)) {
    if (line[0] == 'S') {
      if (deflater)
        nghttp2_hd_deflate_del(deflater);
      nghttp2_hd_deflate_new(&deflater, 65536);
      fputs(line, stdout);
    } else if (line[0] == 'T') {
      nghttp2_hd_deflate_change_table_size(deflater, atoi(line + 2));
    } else if (line[0] == 'F' || line[0] == 'N') {
      value[0] = 0;
      sscanf(line + 1, "%s %s", name, value);
      nghttp2_nv *field = &fields[count++];
      field->name = text(name, &field->namelen);
      field->value = text(value, &field->valuelen);
      field->flags = line[0] == 'N' ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
    } else {
      ssize_t length = nghttp2_hd_deflate_hd(deflater, out, sizeof out, fields, count);
      for (ssize_t i = 0; i < length; i++)
        printf("%02x", out[i]);
      puts("");
      count = 0;
    }
  }
}
