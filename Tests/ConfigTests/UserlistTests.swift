import Config
import Primitives
import Testing

@Suite struct UserlistTests {
    private func parse(_ text: ByteString) throws(ConfigError) -> [ByteString: ByteString] {
        try Userlist.parse(text, file: "users")
    }

    private func complaint(_ text: ByteString) -> String? {
        do throws(ConfigError) {
            _ = try parse(text)
            return nil
        } catch {
            return error.text
        }
    }

    @Test func namesAndSecrets() throws {
        let text: ByteString = #"""
            ; comment
            "marko" "kama"\#r
              "say ""hi""" "a""b" the rest "is" ignored

            "empty" ""
            "marko" "later"
            "tight""" "x"
            """#
        #expect(
            try parse(text) == ["marko": "later", "say \"hi\"": "a\"b", "empty": "", "tight\"": "x"])
    }

    @Test func bytesStayAsTheyAre() throws {
        let composed: ByteString = "\u{e9}"
        let decomposed: ByteString = "e\u{301}"
        let text =
            "\"" + composed + "\" \"1\"\n\"" + decomposed + "\" \"2\"\n\"" + ByteString([0xFF]) + "\" \"3\""
        #expect(try parse(text) == [composed: "1", decomposed: "2", ByteString([0xFF]): "3"])
    }

    @Test func aBrokenLineIsNamed() {
        #expect(
            complaint("\"a\" \"b\"\n\"c\" \"d")
                == "broken auth file (users:2): expected a secret in double quotes behind the name")
        #expect(
            complaint("\n\nname secret") == "broken auth file (users:3): expected a name in double quotes")
        #expect(
            complaint("\"a\"\n\"b\"")
                == "broken auth file (users:1): expected a secret in double quotes behind the name")
        #expect(complaint("\"a\" \"b\0\"") == "broken auth file (users:1): there is a zero byte in the line")
        #expect(complaint("# c") != nil)
    }

    @Test func lengths() {
        func line(_ name: Int, _ secret: Int) -> ByteString {
            "\"" + ByteString([UInt8](repeating: 0x61, count: name)) + "\" \""
                + ByteString([UInt8](repeating: 0x62, count: secret)) + "\"\n"
        }
        #expect(complaint(line(127, 65_530)) == nil)
        #expect(
            complaint(line(1, 1) + line(128, 1))
                == "username too long in auth file (users:2): at most 127 bytes")
        #expect(complaint(line(1, 65_531)) == "password too long in auth file (users:1): at most 65530 bytes")
    }
}
