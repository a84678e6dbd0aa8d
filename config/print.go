package config

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// Logger is the process's logger, in LogFormat, from LogLevel up.
func (c *Config) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// String shows the settings without what is secret: keys, tokens, and the users and parameters of URLs.
func (c Config) String() string {
	type plain Config // without this method
	return fmt.Sprintf("%+v", plain(c.redacted()))
}

// GoString is String, so that no verb prints a secret.
func (c Config) GoString() string { return c.String() }

// LogValue is String for structured logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Config) redacted() Config {
	c.SigningKey, c.OldSigningKey, c.AdminToken = hide(c.SigningKey), hide(c.OldSigningKey), hide(c.AdminToken)
	c.DatabaseURL, c.StorageURL = hideUsers(hideQuery(c.DatabaseURL)), hideUsers(hideQuery(c.StorageURL))
	c.Upstream, c.SumDB = hideUsers(c.Upstream), hideUsers(c.SumDB)
	c.Proxy.HTTPProxy, c.Proxy.HTTPSProxy = hideUsers(c.Proxy.HTTPProxy), hideUsers(c.Proxy.HTTPSProxy)
	c.Traces.Endpoint = hideUsers(hideQuery(c.Traces.Endpoint))
	c.Traces.Headers = nil
	c.GoEnv = nil
	return c
}

func hide(secret string) string {
	if secret == "" {
		return ""
	}
	return "…"
}

var userInURL = regexp.MustCompile(`://[^,|\s]*@`)

// hideUsers blanks users and passwords in the URLs of a text.
func hideUsers(text string) string { return userInURL.ReplaceAllString(text, "://…@") }

func hideQuery(rawURL string) string {
	before, _, found := strings.Cut(rawURL, "?")
	if found {
		before += "?…"
	}
	return before
}
