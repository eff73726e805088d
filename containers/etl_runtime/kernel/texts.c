/* What sql/texts.sql and sql/people.sql define, each function under its name there. */
#include "functions.h"

static const char *const first_names[64] = {
    "Alder",  "Amber",  "Ash",     "Aspen", "Autumn", "Basil",   "Bay",     "Birch",   "Bracken", "Briar",  "Bryony",
    "Cedar",  "Clay",   "Clover",  "Coral", "Cosmos", "Crispin", "Dale",    "Dove",    "Elm",     "Ember",  "Fern",
    "Finch",  "Flint",  "Forrest", "Glen",  "Hazel",  "Heath",   "Heather", "Holly",   "Iris",    "Ivy",    "Jasper",
    "Jay",    "Juniper", "Lark",   "Laurel", "Linden", "Lotus",  "Maple",   "Marigold", "Meadow", "Moss",   "Myrtle",
    "Oakley", "Olive",  "Opal",    "Pearl", "Peony",  "Pine",    "Poppy",   "Quill",   "Raven",   "Reed",   "River",
    "Robin",  "Rowan",  "Rush",    "Sage",  "Sorrel", "Tansy",   "Thorn",   "Willow",  "Wren"};
static const char *const stems[32] = {"Amber",  "Apple",  "Barley", "Bramble", "Brindle", "Candle",  "Clover",  "Copper",
                                      "Dapple", "Drift",  "Eider",  "Fallow",  "Feather", "Fennel",  "Gorse",   "Hollow",
                                      "Kestrel", "Linnet", "Lumber", "Marble", "Nettle",  "Otter",   "Pebble",  "Quarry",
                                      "Ripple", "Saffron", "Spindle", "Teasel", "Thimble", "Umber",  "Velvet",  "Yarrow"};
static const char *const endings[32] = {"bank",  "beck", "bourne", "bridge", "brook", "by",    "combe", "cote",
                                        "croft", "dale", "dean",   "fell",   "field", "ford",  "garth", "gate",
                                        "grove", "ham",  "holt",   "hurst",  "leigh", "ley",   "mere",  "moor",
                                        "more",  "ridge", "stead", "thorpe", "ton",   "wick",  "wold",  "worth"};
static const char postcode_letters[] = "ABDEFGHJLNPQRSTUWXYZ";
static const char prose[] = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. "
                            "Sed do eiusmod tempor incididunt ut labore et dolore magna. "
                            "Ut enim ad minim veniam, quis nostrud exercitation ullamco. "
                            "Laboris nisi ut aliquip ex ea commodo consequat ipsum nulla. "
                            "Duis aute irure dolor in reprehenderit in voluptate velit. "
                            "Esse cillum dolore eu fugiat nulla pariatur dolor sit amet. "
                            "Excepteur sint occaecat cupidatat non proident sunt magna. "
                            "Culpa qui officia deserunt mollit anim id est laborum sed. ";
enum { PROSE = sizeof prose - 1, PROSES = 8 * PROSE };
static const size_t sentences[8] = {0, 57, 117, 177, 238, 297, 357, 416};

void put_hex(bytes *to, const byte *digest, size_t digits) {
    byte *end = grown(to, digits);
    for (size_t i = 0; end && i < digits; i++) end[i] = (byte)"0123456789abcdef"[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
}

static text lower_case(const call *of, text value) {
    of->work->size = 0;
    byte *at = grown(of->work, value.size);
    for (size_t i = 0; at && i < value.size; i++) at[i] = value.at[i] | (value.at[i] >= 'A' && value.at[i] <= 'Z' ? 0x20 : 0);
    return of_bytes(of->work);
}

static text without(const call *of, text value, const char *these) {
    of->work->size = 0;
    byte *at = grown(of->work, value.size);
    size_t size = 0;
    for (size_t i = 0; at && i < value.size; i++)
        if (!value.at[i] || !strchr(these, value.at[i])) at[size++] = value.at[i];
    of->work->size = size;
    return of_bytes(of->work);
}

static int same(const bytes *to, size_t from, text value) {
    return !to->failed && to->size - from == value.size && !memcmp(to->at + from, value.at, value.size);
}

/* The digits of a digest that a text of `low` characters has room for beside `others`; all, where it has no limit. */
static size_t digest_digits(const call *of, int64_t others) {
    int64_t room = (of->low - others) / 2;
    return of->low && room < 16 ? (size_t)(2 * room) : 32;
}

static int token(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    if (!of->value.size) return 1;
    hmac(of->keys, "token:", of->value.at, of->value.size, digest);
    put_hex(to, digest, of->low ? (size_t)of->low : 32);
    return 1;
}

static int redact(const call *of, bytes *to) {
    if (of->value.size) put_text(to, "redacted");
    return 1;
}

static int url(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    if (!of->value.size) return 1;
    hmac(of->keys, "url:", of->value.at, of->value.size, digest);
    put_text(to, "https://example.com/");
    put_hex(to, digest, digest_digits(of, 20));
    return 1;
}

static int email(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    text value = of->value;
    if (!value.size) return 1;
    while (value.size && *value.at == ' ') value.at++, value.size--;
    while (value.size && value.at[value.size - 1] == ' ') value.size--;
    value = lower_case(of, value);
    hmac(of->keys, "email:", value.at, value.size, digest);
    put_hex(to, digest, digest_digits(of, 12));
    put_text(to, "@example.com");
    return 1;
}

static int prose_text(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    size_t size = characters(of->value), first = size % PROSES;
    hmac(of->keys, "text:", of->value.at, end_of(of->value, 64), digest);
    byte *end = grown(to, size);
    if (!end) return 1;
    for (size_t from = sentences[digest[0] & 7], part; first; first -= part, end += part, from = 0) {
        part = PROSE - from < first ? PROSE - from : first;
        memcpy(end, prose + from, part);
    }
    for (size_t part = 0; part < size / PROSES * 8; part++) memcpy(end + part * PROSE, prose, PROSE);
    return 1;
}

static void coined(bytes *to, const byte *choice) {
    put_text(to, stems[choice[0] & 31]);
    put_text(to, endings[choice[1] & 31]);
}

static int person_name(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    size_t from = to->size;
    if (!of->value.size) return 1;
    text value = lower_case(of, of->value);
    hmac(of->keys, "person_name:", value.at, value.size, digest);
    for (int turn = 0; turn < 2; turn++) {
        byte initial = (byte)('A' + digest[1] % 26);
        to->size = from;
        put_text(to, first_names[(digest[0] + turn) & 63]);
        put(to, " ", 1);
        put(to, &initial, 1);
        put(to, ". ", 2);
        coined(to, digest + 2);
        if (!same(to, from, of->value)) break;
    }
    return 1;
}

static int person_name_unique(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    size_t from = to->size, half = 16;
    if (!of->value.size) return 1;
    person_name(of, to);
    if (of->low) {
        int64_t room = (of->low - 26) / 2;
        half = room < 8 ? 8 : room > 16 ? 16 : (size_t)room;
        size_t most = from + (size_t)of->low - 1 - 2 * half;
        if (to->size > most) to->size = most;
    }
    text value = lower_case(of, of->value);
    hmac(of->keys, "person_name_unique:", value.at, value.size, digest);
    put(to, " ", 1);
    put_hex(to, digest, 2 * half);
    return 1;
}

static text national_number(const call *of) {
    text value = without(of, of->value, " ()-./\t");
    size_t code = value.size >= 3 && !memcmp(value.at, "+44", 3) ? 3 : value.size >= 4 && !memcmp(value.at, "0044", 4) ? 4 : 0;
    if (!code) return value;
    if (code < value.size && value.at[code] == '0') code++;
    of->work->at[code - 1] = '0';
    return (text){value.at + code - 1, value.size - code + 1};
}

static int phone(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    char number[12];
    text value = of->value, national = national_number(of);
    if (!value.size) return 1;
    hmac(of->keys, "phone:", national.at, national.size, digest);
    int mobile = national.size >= 2 && national.at[0] == '0' && national.at[1] == '7';
    for (u64 line = number_of(digest) % 1000, turn = 0; turn < 2; turn++, line = (line + 1) % 1000) {
        memcpy(number, mobile ? "07700900" : "01632960", 8);
        for (u64 i = 0, left = line; i < 3; i++, left /= 10) number[10 - i] = (char)('0' + left % 10);
        if (national.size != 11 || memcmp(number, national.at, 11)) break;
    }
    int blank = memchr(value.at, ' ', value.size) != NULL, abroad = value.at[0] == '+';
    if (abroad) put_text(to, blank ? "+44 " : "+44");
    put(to, number + abroad, (size_t)(5 - abroad));
    if (blank) put(to, " ", 1);
    put(to, number + 5, 6);
    return 1;
}

static int phone_unique(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    if (!of->value.size) return 1;
    phone(of, to);
    text national = national_number(of);
    hmac(of->keys, "phone_unique:", national.at, national.size, digest);
    put_text(to, " x");
    put_digits(to, number_of(digest), 19);
    return 1;
}

static void put_number(bytes *to, unsigned number) {
    put_digits(to, number, number > 999 ? 4 : number > 99 ? 3 : number > 9 ? 2 : 1);
}

static int address(const call *of, bytes *to) {
    static const char *const kinds[4] = {" Street, ", " Road, ", " Lane, ", " Close, "};
    byte digest[DIGEST_BYTES];
    size_t from = to->size;
    if (!of->value.size) return 1;
    text value = lower_case(of, of->value);
    hmac(of->keys, "address:", value.at, value.size, digest);
    unsigned house = ((unsigned)digest[0] << 8 | digest[1]) % 999;
    for (unsigned turn = 0; turn < 2; turn++) {
        to->size = from;
        put_number(to, 1 + (house + turn) % 999);
        put(to, " ", 1);
        coined(to, digest + 2);
        put_text(to, kinds[digest[4] & 3]);
        coined(to, digest + 5);
        if (!same(to, from, of->value)) break;
    }
    return 1;
}

static int postcode(const call *of, bytes *to) {
    byte digest[DIGEST_BYTES];
    size_t from = to->size;
    if (!of->value.size) return 1;
    text value = without(of, of->value, " ");
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] >= 'A' && value.at[i] <= 'Z') of->work->at[i] |= 0x20;
    hmac(of->keys, "postcode:", value.at, value.size, digest);
    u64 number = number_of(digest);
    for (u64 turn = 0; turn < 2; turn++) {
        to->size = from;
        put_text(to, "ZZ");
        put_digits(to, (number + turn) % 100, 2);
        put(to, " ", 1);
        put_digits(to, number / 100 % 10, 1);
        put(to, postcode_letters + number / 1000 % 20, 1);
        put(to, postcode_letters + number / 20000 % 20, 1);
        if (!same(to, from, of->value)) break;
    }
    return 1;
}

static int company(const call *of, bytes *to) {
    static const char *const kinds[3] = {" Ltd", " LLP", " plc"};
    byte digest[DIGEST_BYTES];
    size_t from = to->size;
    if (!of->value.size) return 1;
    text value = lower_case(of, of->value);
    hmac(of->keys, "company:", value.at, value.size, digest);
    for (int turn = 0; turn < 2; turn++) {
        to->size = from;
        coined(to, digest);
        put_text(to, " & ");
        coined(to, digest + 2);
        put_text(to, kinds[(digest[4] + turn) % 3]);
        if (!same(to, from, of->value)) break;
    }
    return 1;
}

enum { NO_LIMIT = INT32_MAX };
const named_function text_functions[] = {
    {"email", email, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"email/1", email, 28, NO_LIMIT, IN_COLUMNS},
    {"token", token, 0, 0, IN_DOCUMENTS},
    {"token/1", token, 1, 64, IN_COLUMNS},
    {"redact", redact, 0, 0, IN_DOCUMENTS},
    {"url", url, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"url/1", url, 36, NO_LIMIT, IN_COLUMNS},
    {"text", prose_text, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"person_name", person_name, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"person_name_unique", person_name_unique, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"person_name_unique/1", person_name_unique, 20, NO_LIMIT, IN_COLUMNS},
    {"phone", phone, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"phone_unique", phone_unique, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"address", address, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"postcode", postcode, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {"company", company, 0, 0, IN_COLUMNS | IN_DOCUMENTS},
    {NULL, NULL, 0, 0, 0},
};
