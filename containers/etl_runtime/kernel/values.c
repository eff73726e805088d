/* What sql/numbers.sql and sql/types.sql define, of the types whose text is plain. */
#include <math.h>

#include "functions.h"
#include "marks.h"

enum { LABEL = 15, TURNS = 10, MOST_DIGITS = 34 };

static void big_endian(byte *to, int64_t number) {
    u64 swapped = __builtin_bswap64((u64)number);
    memcpy(to, &swapped, 8);
}

static u64 turned_by(const call *of, const byte *label, size_t size, int64_t number) {
    byte digest[DIGEST_BYTES], last[8];
    sha256 hash;
    big_endian(last, number);
    sha256_begin(&hash, &sha256_initial, 0);
    sha256_add(&hash, of->keys->round_key, DIGEST_BYTES);
    sha256_add(&hash, label, size);
    sha256_add(&hash, last, 8);
    sha256_end(&hash, digest);
    return number_of(digest);
}

static void feistel(const call *of, const byte *label, size_t size, int64_t pair[2], const int64_t sizes[2]) {
    for (int turn = 0; turn < TURNS; turn++) {
        int side = turn & 1;
        u64 by = turned_by(of, label, size, pair[1 - side] * 10 + turn) % (u64)sizes[side];
        pair[side] = (int64_t)(((u64)pair[side] + by) % (u64)sizes[side]);
    }
}

static int permuted(const call *of, const char *label, byte *digits, size_t total) {
    if (total > MOST_DIGITS) return 0;
    if (total == 1) {
        byte digest[DIGEST_BYTES];
        hmac(of->keys, label, NULL, 0, digest);
        digits[0] = (byte)('0' + (u64)(digits[0] - '0' + 1 + number_of(digest) % 9) % 10);
        return 1;
    }
    byte whole[LABEL];
    size_t size = strlen(label), half = total / 2;
    uint32_t count = __builtin_bswap32((uint32_t)total);
    int64_t pair[2] = {0, 0}, sizes[2] = {1, 1};
    memcpy(whole, label, size);
    memcpy(whole + size, &count, 4);
    for (size_t i = 0; i < total; i++) {
        int side = i >= half;
        pair[side] = pair[side] * 10 + digits[i] - '0';
        sizes[side] *= 10;
    }
    feistel(of, whole, size + 4, pair, sizes);
    for (size_t i = total; i-- > 0;) {
        int side = i >= half;
        digits[i] = (byte)('0' + pair[side] % 10);
        pair[side] /= 10;
    }
    return 1;
}

static int digits(const call *of, bytes *to) {
    byte found[MOST_DIGITS], digest[DIGEST_BYTES];
    size_t size = 0;
    text value = of->value;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < ' ') return 0;
        if (!is_ascii_digit(value.at[i])) continue;
        if (size == MOST_DIGITS) return 0;
        found[size++] = value.at[i];
    }
    if (!size) {
        size_t length = characters(value);
        if (!length) return 1;
        hmac(of->keys, "digits:", value.at, value.size, digest);
        put_hex(to, digest, length < 2 * DIGEST_BYTES ? length : 2 * DIGEST_BYTES);
        return 1;
    }
    if (memchr(value.at, '\\', value.size) || !permuted(of, "digits:", found, size)) return 0;
    byte *end = grown(to, value.size);
    for (size_t i = 0, at = 0; end && i < value.size; i++) end[i] = is_ascii_digit(value.at[i]) ? found[at++] : value.at[i];
    return 1;
}

/* Of the text of an integer; 0 where it is none of 64 bits. */
static int integer(text value, int64_t *number) {
    size_t at = value.size && value.at[0] == '-';
    int64_t found = 0;
    if (at == value.size) return 0;
    for (; at < value.size; at++) {
        if (!is_ascii_digit(value.at[at])) return 0;
        if (__builtin_mul_overflow(found, 10, &found)) return 0;
        int digit = value.at[at] - '0';
        if (value.at[0] == '-' ? __builtin_sub_overflow(found, digit, &found) : __builtin_add_overflow(found, digit, &found))
            return 0;
    }
    *number = found;
    return 1;
}

static void put_integer(bytes *to, int64_t number) {
    byte found[20];
    int at = 20;
    u64 left = number < 0 ? 0 - (u64)number : (u64)number;
    do found[--at] = (byte)('0' + left % 10);
    while (left /= 10);
    if (number < 0) put(to, "-", 1);
    put(to, found + at, (size_t)(20 - at));
}

static int id_between(const call *of, int64_t value, int64_t low, int64_t high, bytes *to) {
    byte label[LABEL] = "id:";
    if (value < low || value > high) return 0;
    int64_t span;
    if (__builtin_sub_overflow(high, low, &span)) return 0;
    int64_t near_size = (int64_t)floor(sqrt((double)span)) + 1, far_size = span / near_size + 1;
    int64_t pair[2] = {(value - low) / far_size, (value - low) % far_size}, sizes[2] = {near_size, far_size};
    big_endian(label + 3, span);
    do feistel(of, label, 11, pair, sizes);
    while (pair[0] > span / far_size || (pair[0] == span / far_size && pair[1] > span % far_size));
    put_integer(to, low + (pair[0] * far_size + pair[1]));
    return 1;
}

/* `high` is the largest number of the type. */
static int id(const call *of, bytes *to) {
    int64_t value;
    if (!integer(of->value, &value)) return 0;
    if (value > 0) return id_between(of, value, 1, of->high, to);
    if (value < 0) return id_between(of, value, -of->high - 1, -1, to);
    put(to, "0", 1);
    return 1;
}

static int id_in_range(const call *of, bytes *to) {
    int64_t value;
    return integer(of->value, &value) && id_between(of, value, of->low, of->high, to);
}

static int uuid(const call *of, bytes *to) {
    byte number[16], digest[DIGEST_BYTES];
    size_t at = 0;
    if (of->value.size != 36) return 0;
    for (size_t i = 0; i < 36; i++) {
        byte c = of->value.at[i];
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') return 0;
            continue;
        }
        int digit = is_ascii_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return 0;
        number[at / 2] = (byte)(at % 2 ? number[at / 2] | digit : digit << 4);
        at++;
    }
    hmac(of->keys, "uuid:", number, 16, digest);
    digest[6] = (digest[6] & 0x0f) | 0x80;
    digest[8] = (digest[8] & 0x3f) | 0x80;
    for (int i = 0, from = 0; i < 5; i++) {
        static const int sizes[5] = {4, 2, 2, 2, 6};
        if (i) put(to, "-", 1);
        put_hex(to, digest + from, (size_t)(2 * sizes[i]));
        from += sizes[i];
    }
    return 1;
}

/* Four numbers with dots between, as Postgres itself writes an address without a mask. */
static int is_ipv4(text value) {
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        int number = 0;
        size_t from = at;
        while (at < value.size && is_ascii_digit(value.at[at]) && at - from < 3) number = number * 10 + value.at[at++] - '0';
        if (at == from || number > 255 || (at - from > 1 && value.at[from] == '0')) return 0;
        if (part < 3 && (at == value.size || value.at[at++] != '.')) return 0;
    }
    return at == value.size;
}

static int ip(const call *of, bytes *to) {
    static const char *const networks[3] = {"192.0.2.", "198.51.100.", "203.0.113."};
    byte digest[DIGEST_BYTES];
    size_t from = to->size;
    if (!is_ipv4(of->value)) return 0;
    hmac(of->keys, "ip:", of->value.at, of->value.size, digest);
    u64 number = number_of(digest);
    for (u64 turn = 0; turn < 2; turn++) {
        to->size = from;
        put_text(to, networks[(number + turn) % 3]);
        put_integer(to, (int64_t)(number / 3 % 256));
        if (to->failed || to->size - from != of->value.size || memcmp(to->at + from, of->value.at, of->value.size)) break;
    }
    return 1;
}

/* Days from 0000-03-01 on, of a year that begins in March: then the day that some years have more is a year's last. */
static int64_t day_of(int64_t year, int64_t month, int64_t day) {
    year -= month < 3;
    return 365 * year + year / 4 - year / 100 + year / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
}

static int date_shift(const call *of, bytes *to) {
    static const char form[] = "dddd-dd-dd";
    byte digest[DIGEST_BYTES];
    text value = of->value;
    if (value.size < 10) return 0;
    for (size_t i = 0; i < 10; i++)
        if (form[i] == 'd' ? !is_ascii_digit(value.at[i]) : value.at[i] != form[i]) return 0;
    int64_t part[3] = {0, 0, 0};
    for (size_t i = 0; i < 10; i++)
        if (form[i] == 'd') part[(i > 4) + (i > 7)] = part[(i > 4) + (i > 7)] * 10 + value.at[i] - '0';
    if (part[0] < 1 || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31) return 0;
    hmac(of->keys, "date_shift:", of->key.at, of->key.size, digest);
    u64 days = (u64)of->low, shift = (number_of(digest) % (2 * days) + days + 1) % (2 * days + 1);
    int64_t day = day_of(part[0], part[1], part[2]);
    if (part[1] < 12 && day >= day_of(part[0], part[1] + 1, 1)) return 0;
    day += (int64_t)shift - of->low;
    int64_t year = day / 366, month = 1;
    if (day < 0) return 0;
    while (day_of(year + 1, 1, 1) <= day) year++;
    while (month < 12 && day_of(year, month + 1, 1) <= day) month++;
    if (year < 1 || year > 9999) return 0;
    put_digits(to, (u64)year, 4);
    put(to, "-", 1);
    put_digits(to, (u64)month, 2);
    put(to, "-", 1);
    put_digits(to, (u64)(day - day_of(year, month, 1) + 1), 2);
    put(to, value.at + 10, value.size - 10);
    return 1;
}

/* A moment as a date and a time behind a blank; one with a time zone in UTC, where a day has 24 hours. */
static int has_time(text value, const char *zone) {
    size_t size = strlen(zone);
    if (value.size < 19 + size || value.at[10] != ' ' || memcmp(value.at + value.size - size, zone, size)) return 0;
    for (size_t i = 11; i < value.size - size; i++)
        if (!is_ascii_digit(value.at[i]) && value.at[i] != ':' && value.at[i] != '.') return 0;
    return 1;
}

static int date_shift_date(const call *of, bytes *to) { return of->value.size == 10 && date_shift(of, to); }
static int date_shift_timestamp(const call *of, bytes *to) { return has_time(of->value, "") && date_shift(of, to); }
static int date_shift_timestamptz(const call *of, bytes *to) { return has_time(of->value, "+00") && date_shift(of, to); }

enum { MOST_DAYS = 1000000 };
const named_function other_functions[] = {
    {"digits", digits, 0, 0, IN_COLUMNS},
    {"id/integer", id, 0, 0, IN_COLUMNS},
    {"id/2", id_in_range, INT64_MIN, INT64_MAX, IN_COLUMNS},
    {"uuid/uuid", uuid, 0, 0, IN_COLUMNS},
    {"uuid", uuid, 0, 0, IN_DOCUMENTS},
    {"ip/inet", ip, 0, 0, IN_COLUMNS},
    {"ip", ip, 0, 0, IN_DOCUMENTS},
    {"date_shift/date", date_shift_date, 1, MOST_DAYS, IN_COLUMNS},
    {"date_shift/timestamp", date_shift_timestamp, 1, MOST_DAYS, IN_COLUMNS},
    {"date_shift/timestamptz", date_shift_timestamptz, 1, MOST_DAYS, IN_COLUMNS},
    {NULL, NULL, 0, 0, 0},
};
