package redis

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]target{
		"redis://h":                      {hosts: []string{"h:6379"}},
		"redis://h/":                     {hosts: []string{"h:6379"}},
		"redis://127.0.0.1:7/3":          {hosts: []string{"127.0.0.1:7"}, database: 3},
		"redis://[::1]/0":                {hosts: []string{"[::1]:6379"}},
		"redis://[fe80::1]:7":            {hosts: []string{"[fe80::1]:7"}},
		"redis://:pw@h":                  {hosts: []string{"h:6379"}, password: "pw"},
		"redis://spark:p:w@h:1":          {hosts: []string{"h:1"}, user: "spark", password: "p:w"},
		"redis://spark:p@ss@h:1":         {hosts: []string{"h:1"}, user: "spark", password: "p@ss"},
		"redis://s%40x:%2F%3F%23%25+,@h": {hosts: []string{"h:6379"}, user: "s@x", password: "/?#%+,"},
		"redis://h?wait=2&pool_size=5":   {hosts: []string{"h:6379"}, replicas: 2, poolSize: 5},
		"redis+sentinel://a,b:7,[::1]/m": {kind: sentinel, hosts: []string{"a:26379", "b:7", "[::1]:26379"}, master: "m", replicas: 1},
		"redis+sentinel://u:p@a/my-m/4":  {kind: sentinel, hosts: []string{"a:26379"}, user: "u", password: "p", master: "my-m", database: 4, replicas: 1},
		"redis+sentinel://a/m?wait=0":    {kind: sentinel, hosts: []string{"a:26379"}, master: "m"},
		"redis://:p@a:1,b":               {kind: cluster, hosts: []string{"a:1", "b:6379"}, password: "p"},
		"redis+cluster://a/0":            {kind: cluster, hosts: []string{"a:6379"}},
		"redis+sentinel://a/m?sentinel_user=s&sentinel_password=p%26w": {
			kind: sentinel, hosts: []string{"a:26379"}, master: "m", keeper: [2]string{"s", "p&w"}, replicas: 1,
		},
	} {
		got, err := parseURL(text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(target{}), cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("parseURL(%q): %v (-want +got):\n%s", text, err, diff)
		}
	}
	got, err := parseURL("rediss://h:1?server_name=n&skip_verify=true")
	if err != nil || got.tls == nil || got.tls.ServerName != "n" || !got.tls.InsecureSkipVerify {
		t.Errorf("parseURL of rediss = %+v, %v", got, err)
	}
	if got, err := parseURL("rediss+cluster://a,b"); err != nil || got.tls == nil || got.tls.InsecureSkipVerify || got.kind != cluster {
		t.Errorf("parseURL of rediss+cluster = %+v, %v", got, err)
	}
}

func TestWrongURLsSayWhatIsAllowedAndHideThePassword(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"", "no URL"},
		{"localhost:6379", "redis+sentinel://"},
		{"http://:hunter2@host", "rediss://"},
		{"redis:host", "want redis://"},
		{"redis://", "a host"},
		{"redis://:hunter2@", "a host"},
		{"redis://a,,b", "a host"},
		{"redis://a,b,a:6379", "each host once"},
		{"redis://:hunter2@ho st", "no spaces"},
		{"redis://:hunter2@h\x00", "control characters"},
		{"redis://:hunt%zzer2@host", "%25"},
		{"redis://:hun/hunter2@host", "%2F"},
		{"redis://:hun?hunter2@host", "%3F"},
		{"redis://:hun#hunter2@host", "%23"},
		{"redis://u:hunter2@x?hunter2@host", "%3F"},
		{"redis://:hunter2@a,:hunter2@b", "once, before the first host"},
		{"redis://hunter2@host", "user:password@"},
		{"redis://h:0", "1 to 65535"},
		{"redis://h:99999", "1 to 65535"},
		{"redis://h:+1", "1 to 65535"},
		{"redis://h:", "1 to 65535"},
		{"redis://::1", "brackets"},
		{"redis://[::1", "brackets"},
		{"redis://[x]:1", "brackets"},
		{"redis://:hunter2@host/a/b", "number of a database"},
		{"redis://:hunter2@host/-1", "number of a database"},
		{"redis://a,b/1", "Cluster"},
		{"redis+sentinel://:hunter2@a,b", "name of the master"},
		{"redis+sentinel://a/m/x", "number of a database"},
		{"redis://:hunter2@host?nonsense=1", "nonsense"},
		{"redis://host?password=hunter2", "wait, pool_size"},
		{"redis://host?wait=1&wait=2", "once"},
		{"redis://host?wait=", "with a value"},
		{"redis://host?wait=-1", "0 to 10"},
		{"redis://host?%zz", "name=value"},
		{"redis://host?ca=x", "rediss://"},
		{"redis://host?sentinel_password=hunter2", "redis+sentinel://"},
		{"redis+sentinel://a/m?sentinel_user=hunter2", "sentinel_password"},
		{"rediss://host?skip_verify=yes", "true or false"},
		{"rediss://host?ca=/no/such.pem", "/no/such.pem"},
		{"rediss://host?ca=url_test.go", "PEM"},
		{"rediss://host?cert=a", "both or none"},
		{"rediss://host?cert=/no/a&key=/no/b", "/no/a"},
	} {
		err := CheckURL(tt.url)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CheckURL(%q) = %v, want an error with %q", tt.url, err, tt.want)
		}
		shown := ShowURL(tt.url)
		if err != nil {
			shown += err.Error()
		}
		if strings.Contains(strings.Replace(shown, "hunter2:***", "", 1), "hunter2") && !strings.Contains(tt.url, "sentinel_user") {
			t.Errorf("%q: the password is shown: %v", tt.url, shown)
		}
	}
}

func TestShowURLAndSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"redis://user:pw@h:1/2":                            "redis://user:***@h:1/2",
		"redis://:pw@a,b?wait=1":                           "redis://:***@a,b?wait=1",
		"redis+sentinel://h/m?sentinel_password=pw&wait=1": "redis+sentinel://h/m?sentinel_password=***&wait=1",
		"redis://:p/w@h":                                   "redis://***",
		"redis://h?Password=pw":                            "redis://h?Password=***",
		"pw@h":                                             "***@h",
		"redis://h":                                        "redis://h",
		"redis+sentinel://h/m?sentinel_user=a&wait=1&ca=/x.pem": "redis+sentinel://h/m?sentinel_user=a&wait=1&ca=/x.pem",
	} {
		if got := ShowURL(text); got != want {
			t.Errorf("ShowURL(%q) = %q, want %q", text, got, want)
		}
	}
	want := []string{"a%40b", "a@b", "c"}
	if got := Secrets("redis+sentinel://u:a%40b@h,i/m?sentinel_password=c"); !cmp.Equal(got, want) {
		t.Errorf("Secrets = %q, want %q", got, want)
	}
}

// FuzzParseURL: what is accepted can be dialled, and a password is never shown.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{
		"redis://u:hunter2@h:1/2?wait=1", "redis+sentinel://a,b/m/1", "rediss+cluster://[::1]:7,b?skip_verify=true", "redis://%zz@", "redis://a,b#c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseURL(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if len(got.hosts) == 0 || got.kind == sentinel && got.master == "" || got.kind == cluster && got.database != 0 {
			t.Errorf("parseURL(%q) = %+v", text, got)
		}
		for _, secret := range Secrets(text) {
			if n := strings.Count(text, secret); len(secret) > 6 && n > 0 && strings.Count(ShowURL(text), secret) >= n {
				t.Errorf("ShowURL(%q) = %q", text, ShowURL(text))
			}
		}
		if ShowURL(ShowURL(text)) != ShowURL(text) {
			t.Errorf("ShowURL(%q) differs when shown again", text)
		}
	})
}
