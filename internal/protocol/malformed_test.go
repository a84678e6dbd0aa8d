package protocol_test

import "strings"

// malformedEvents are texts of events that no push and no page may contain, each
// with the field that the error blames.
func malformedEvents() map[string]struct{ field, text string } {
	tests := map[string]struct{ field, text string }{
		"not an object":           {"event", `[]`},
		"null":                    {"event", `null`},
		"a string":                {"event", `"add"`},
		"an empty object":         {"kind", `{}`},
		"a name without a value":  {"json", `{"kind"}`},
		"a name without a string": {"json", `{kind:"add"}`},
		"a comma too many":        {"json", strings.TrimSuffix(addText, "}") + `,}`},
		"not closed":              {"json", strings.TrimSuffix(addText, "}") + `]`},
		"unknown bad literal":     {"json", member(`"later":nil`)},
		"unknown bad number":      {"json", member(`"later":01`)},
		"unknown bad string":      {"json", member(`"later":"\x"`)},
		"unknown control":         {"json", member("\"later\":\"\n\"")},
		"unknown name not UTF-8":  {"json", member("\"\xff\":1")},
		"unknown not UTF-8":       {"json", member("\"later\":\"\xff\"")},
		"unknown overlong UTF-8":  {"json", member("\"later\":\"\xc0\x80\"")},
		"unknown raw surrogate":   {"json", member("\"later\":\"\xed\xa0\x80\"")},
		"unknown lone surrogate":  {"json", member(`"later":"\ud800"`)},
		"unknown low surrogate":   {"json", member(`"later":"\udc00\ud800"`)},
		"unknown NUL":             {"json", member(`"later":["\\\u0000"]`)},
		"unknown NUL behind text": {"json", member(`"later":"\\u0000\\\u0000"`)},
		"unknown NUL in a name":   {"json", member(`"\u0000":1`)},
		"unknown twice":           {"json", member(`"later":1,"later":1`)},
		"unknown twice inside":    {"json", member(`"later":{"a":1,"\u0061":1}`)},
		"unknown depth bomb":      {"json", member(`"later":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000))},
		"known depth bomb":        {"json", strings.Replace(addText, `"add"`, strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000), 1)},
		"a comment":               {"json", `{/**/` + addText[1:]},

		"kind of another case": {"kind", replace(`"add"`, `"Add"`)},
		"kind unknown":         {"kind", replace(`"add"`, `"update"`)},
		"version with a NUL":   {"json", replace(`"v1.0.0"`, `"v1.0.0\u0000"`)},
		"module not UTF-8":     {"json", replace(`example.com/m"`, "example.com/m\xff\"")},
		"module surrogate":     {"json", replace(`example.com/m"`, `example.com/m\ud83d"`)},
		"mod does not match":   {"mod_hash", replace(`"module example.com/m\n"`, `"module example.com/m"`)},
		"info does not match":  {"info", replace(`\"v1.0.0\"`, `\"v1.0.1\"`)},
		"origin with a plus":   {"origin", replace(`om.example.com`, `om+example.com`)},

		"time without a zone": {"time", replace(`00.000001Z`, `00.000001`)},
		"time with a space":   {"time", replace(`22T12`, `22 12`)},
		"time of one digit":   {"time", replace(`T12`, `T2`)},
		"time with a comma":   {"time", replace(`00.000001Z`, `00,000001Z`)},
		"time of no day":      {"time", replace(`11-22T`, `02-30T`)},
		"time of a number":    {"time", replace(`"2026-11-22T12:00:00.000001Z"`, `1795348800`)},
		"time in year 10000":  {"time", replace(`2026-11-22T`, `10000-11-22T`)},
		"time 10000 in UTC":   {"time", replace(`2026-11-22T12:00:00.000001Z`, `9999-12-31T23:59:59-01:00`)},
		"time in year 0":      {"time", replace(`2026-11`, `0000-11`)},
		"time of zero":        {"time", replace(`2026-11-22T12:00:00.000001Z`, `0001-01-01T00:00:00Z`)},
		"time almost zero":    {"time", replace(`2026-11-22T12:00:00.000001Z`, `0001-01-01T00:00:00.0000009Z`)},
		"time a day off":      {"time", replace(`00.000001Z`, `00+24:00`)},
		"time 60 minutes off": {"time", replace(`00.000001Z`, `00-23:60`)},
		"time in lower case":  {"time", replace(`00.000001Z`, `00.000001z`)},
		"time with no digits": {"time", replace(`00.000001Z`, `00.Z`)},
		"time empty":          {"time", replace(`2026-11-22T12:00:00.000001Z`, ``)},

		"zip_size 0":              {"zip_size", replace(`1234`, `0`)},
		"zip_size -1":             {"zip_size", replace(`1234`, `-1`)},
		"zip_size -0":             {"zip_size", replace(`1234`, `-0`)},
		"zip_size with a point":   {"zip_size", replace(`1234`, `1234.0`)},
		"zip_size with an e":      {"zip_size", replace(`1234`, `1e3`)},
		"zip_size as a string":    {"zip_size", replace(`1234`, `"1234"`)},
		"zip_size over 2^62":      {"zip_size", replace(`1234`, `4611686018427387905`)},
		"zip_size over 2^64":      {"zip_size", replace(`1234`, `18446744073709552850`)},
		"zip_size of many digits": {"zip_size", replace(`1234`, strings.Repeat("9", 1000))},

		"delete with zip_size 0": {"zip_size", deleteMember(`"zip_size":0`)},
		"delete with a null":     {"mod", deleteMember(`"mod":null`)},
		"add with a reason":      {"reason", member(`"reason":"because"`)},
		"add with no reason":     {"reason", member(`"reason":""`)},
		"reason null":            {"reason", strings.Replace(deleteText, `"published by mistake"`, `null`, 1)},
		"reason with a newline":  {"reason", strings.Replace(deleteText, `by mistake`, `by\nmistake`, 1)},
	}
	for name, value := range addValues {
		tests[name+" missing"] = struct{ field, text string }{name, strings.Replace(replace(`"`+name+`":`+value, ``), ",,", ",", 1)}
		tests[name+" null"] = struct{ field, text string }{name, replace(`"`+name+`":`+value, `"`+name+`":null`)}
		tests[name+" in an array"] = struct{ field, text string }{name, replace(`"`+name+`":`+value, `"`+name+`":[`+value+`]`)}
		tests[name+" as an object"] = struct{ field, text string }{name, replace(`"`+name+`":`+value, `"`+name+`":{}`)}
		tests[name+" true"] = struct{ field, text string }{name, replace(`"`+name+`":`+value, `"`+name+`":true`)}
		tests[name+" twice"] = struct{ field, text string }{"json", member(`"` + name + `":` + value)}
		tests[name+" twice, escaped"] = struct{ field, text string }{"json", member(`"` + escapeFirst(name) + `":` + value)}
		tests[name+" in upper case"] = struct{ field, text string }{name, replace(`"`+name+`":`, `"`+strings.ToUpper(name)+`":`)}
		tests[name+" in a second case"] = struct{ field, text string }{name, member(`"` + strings.ToUpper(name[:1]) + name[1:] + `":` + value)}
		if strings.Contains(name, "s") { // the long s is an s of another case
			tests[name+" with a long s"] = struct{ field, text string }{name, member(`"` + strings.Replace(name, "s", "ſ", 1) + `":` + value)}
		}
	}
	delete(tests, "mod missing") // it ends the object: see below
	tests["mod missing"] = struct{ field, text string }{"mod", replace(`,"mod":"module example.com/m\n"`, ``)}
	for _, name := range []string{"zip_hash", "zip_sha256", "mod_hash", "info", "mod"} {
		tests["delete with an empty "+name] = struct{ field, text string }{name, deleteMember(`"` + name + `":""`)}
	}
	for _, name := range []string{"kind", "module", "version", "origin", "time"} {
		text := strings.Replace(deleteText, `"`+name+`":`+addValues[name]+`,`, ``, 1)
		if name == "kind" {
			text = strings.Replace(deleteText, `"kind":"delete",`, ``, 1)
		}
		tests["delete without "+name] = struct{ field, text string }{name, text}
	}
	return tests
}

// addValues are the values in addText as they are written there.
var addValues = map[string]string{
	"kind":       `"add"`,
	"module":     `"example.com/m"`,
	"version":    `"v1.0.0"`,
	"origin":     `"om.example.com"`,
	"time":       `"2026-11-22T12:00:00.000001Z"`,
	"zip_hash":   `"h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="`,
	"zip_sha256": `"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"`,
	"zip_size":   `1234`,
	"mod_hash":   `"h1:flS2VctbRrTv+sBE+VKgxx6hlkMGPVz9MGOmzMYFg3k="`,
	"info":       `"{\"Version\":\"v1.0.0\",\"Time\":\"2026-11-22T11:59:59Z\"}"`,
	"mod":        `"module example.com/m\n"`,
}

// replace changes addText, which must contain old.
func replace(old, new string) string {
	if !strings.Contains(addText, old) {
		panic("the add has no " + old)
	}
	return strings.Replace(strings.Replace(addText, old, new, 1), "{,", "{", 1)
}

// member adds a member to the add, deleteMember to the delete.
func member(text string) string       { return strings.TrimSuffix(addText, "}") + "," + text + "}" }
func deleteMember(text string) string { return strings.TrimSuffix(deleteText, "}") + "," + text + "}" }

// escapeFirst writes the first letter of a name another way.
func escapeFirst(name string) string {
	const hex = "0123456789abcdef"
	return `\u00` + string(hex[name[0]>>4]) + string(hex[name[0]&15]) + name[1:]
}
