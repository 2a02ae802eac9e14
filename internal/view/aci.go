package view

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/netguard"
)

const (
	// pageSize is how many objects of a class are asked for at a time, and maxObjects how many in all.
	pageSize   = 500
	maxObjects = 100_000
)

// apic is a session at an APIC: the cookie that aaaLogin gave.
type apic struct {
	http *http.Client
	base *url.URL
	// token is sent as the cookie APIC-cookie.
	token string
}

// aci reads what an ACI fabric has: its endpoint groups are networks.
func aci(ctx context.Context, g *netguard.Guard, c connection) (out api.ViewContent, err error) {
	u, err := address(c)
	if err != nil {
		return out, err
	}
	t := &http.Transport{DialContext: g.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: c.insecure}} //nolint:gosec // only where the document says so
	defer t.CloseIdleConnections()
	a := &apic{base: u, http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if err := a.login(ctx, c); err != nil {
		return out, err
	}
	defer a.logout(context.WithoutCancel(ctx), c.User)
	groups, err := a.class(ctx, "fvAEPg")
	if err != nil {
		return out, err
	}
	for _, o := range groups {
		n := api.ViewNetwork{Name: o["name"]}
		for _, part := range strings.Split(o["dn"], "/") { // uni/tn-TENANT/ap-APPLICATION/epg-NAME
			if v, ok := strings.CutPrefix(part, "tn-"); ok {
				n.Tenant = v
			}
			if v, ok := strings.CutPrefix(part, "ap-"); ok {
				n.Application = v
			}
		}
		out.Networks = append(out.Networks, n)
	}
	sortContent(&out)
	return out, nil
}

// apicAnswer is what an APIC says: objects by class, or an error object.
type apicAnswer struct {
	TotalCount string `json:"totalCount"`
	Imdata     []map[string]struct {
		Attributes map[string]string `json:"attributes"`
	} `json:"imdata"`
}

func (a *apic) call(ctx context.Context, method, path string, query url.Values, body any) (out apicAnswer, err error) {
	u := a.base.JoinPath(path)
	u.RawQuery = query.Encode()
	var b []byte
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return out, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(b))
	if err != nil {
		return out, err
	}
	if a.token != "" {
		req.AddCookie(&http.Cookie{Name: "APIC-cookie", Value: a.token})
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return out, unreachable("ask the APIC", a.base, err)
	}
	defer resp.Body.Close()
	text, err := netguard.ReadAll(resp.Body, maxAnswer)
	if err != nil {
		return out, unreachable("read the answer of the APIC", a.base, err)
	}
	bad := json.Unmarshal(text, &out)
	for _, o := range out.Imdata {
		if e, ok := o["error"]; ok {
			kind := errs.Unavailable
			if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
				kind = errs.Denied
			}
			return out, errs.New(kind, "the APIC at %s says: %.300s (code %.20s)", a.base.Host, e.Attributes["text"], e.Attributes["code"]).WithHint("check the secrets for user and password, and what the user may read")
		}
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		return out, errs.New(errs.Unavailable, "the APIC at %s answers with status %d", a.base.Host, resp.StatusCode)
	case bad != nil:
		return out, errs.New(errs.Unavailable, "the APIC at %s does not answer in JSON", a.base.Host).WithHint("is it an APIC?")
	}
	return out, nil
}

func (a *apic) login(ctx context.Context, c connection) error {
	out, err := a.call(ctx, http.MethodPost, "/api/aaaLogin.json", nil, map[string]any{"aaaUser": map[string]any{"attributes": map[string]any{"name": c.User, "pwd": c.Password}}})
	if err != nil {
		return err
	}
	for _, o := range out.Imdata {
		a.token = o["aaaLogin"].Attributes["token"]
	}
	if a.token == "" {
		return errs.New(errs.Unavailable, "the APIC at %s gave no token", a.base.Host)
	}
	return nil
}

func (a *apic) logout(ctx context.Context, user string) {
	_, _ = a.call(ctx, http.MethodPost, "/api/aaaLogout.json", nil, map[string]any{"aaaUser": map[string]any{"attributes": map[string]any{"name": user}}}) // it ends by itself, too
}

// class returns the attributes of all objects of a class, page by page.
func (a *apic) class(ctx context.Context, name string) (all []map[string]string, err error) {
	for page := 0; ; page++ {
		out, err := a.call(ctx, http.MethodGet, "/api/class/"+name+".json", url.Values{"page": {strconv.Itoa(page)}, "page-size": {strconv.Itoa(pageSize)}, "order-by": {name + ".dn"}}, nil)
		if err != nil {
			return nil, err
		}
		for _, o := range out.Imdata {
			all = append(all, o[name].Attributes)
		}
		total, err := strconv.Atoi(out.TotalCount)
		if err != nil {
			return nil, fmt.Errorf("the APIC counts %.20q objects of %s: %w", out.TotalCount, name, errors.ErrUnsupported)
		}
		if total > maxObjects {
			return nil, errs.New(errs.TooLarge, "the APIC has %d objects of %s, the limit is %d", total, name, maxObjects)
		}
		if len(all) >= total || len(out.Imdata) == 0 {
			return all, nil
		}
	}
}
