"""Pages: what the API says as data, as HTML that works without JavaScript.

`cells` are the pieces, `views` turn model values into them (pure), `pages` serves the routes.
"""
